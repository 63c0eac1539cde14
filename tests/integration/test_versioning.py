"""Real DVC in a folder of its own: a local remote, a real S3 server on loopback, broken remotes, a full disk."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from primum import dvc_folder, versioning
from primum.config import StackConfig, TaskConfig
from primum.errors import BadInput, Tampered, Unavailable
from primum.records import SplitVersion
from primum.split import PARTS, assign
from primum.versioning import ensure_repo, load_part, pointer_note, restore, store_split

LOCAL = StackConfig()
TASK = TaskConfig.model_validate(
    {
        "name": "toy",
        "source": {"path": "toy.csv"},
        "label": {"column": "y", "classes": ["no", "yes"]},
        "features": ["x", "z"],
        "prompt": {"question": "Is it?"},
    }
)


def records() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "record_id": [f"r{i:03d}" for i in range(200)],
            "patient_id": [f"p{i}" for i in range(200)],
            "site": "all",
            "time": None,
            "label": rng.choice(["no", "yes"], 200),
            "x": rng.normal(size=200),
            "z": rng.normal(size=200),
        }
    )


def store(
    root: Path, seed: int = 1, stack: StackConfig = LOCAL, frame: pd.DataFrame | None = None
) -> SplitVersion:
    frame = records() if frame is None else frame
    root.mkdir(parents=True, exist_ok=True)
    source = root / f"records-{os.getpid()}.parquet"
    frame.to_parquet(source, index=False)
    return store_split(root, source, assign(frame, TASK, seed), TASK, stack, seed)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(root), *words], check=True)


def files(folder: Path) -> dict[str, str]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def forget(root: Path) -> None:
    """Lose everything but the remote and git."""
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(root / "data")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def test_a_split_is_written_added_and_pushed(root: Path) -> None:
    version = store(root)
    folder = root / "data" / "splits" / "toy"
    pointer = folder.with_name("toy.dvc").read_text()
    assert version.path == "data/splits/toy"
    assert f"md5: {version.dvc_hash}" in pointer
    assert f"size: {version.size}" in pointer
    assert {p.name for p in folder.iterdir()} == {*(f"{part}.parquet" for part in PARTS), "split.json"}
    assert (
        root / ".primum" / "dvc-remote" / "files" / "md5" / version.dvc_hash[:2] / version.dvc_hash[2:]
    ).is_file()
    assert version.patients == {"train": 100, "validation": 30, "test": 70}
    parts = {part: load_part(root, version, part) for part in PARTS}
    for part, frame in parts.items():
        assert frame["label"].value_counts().to_dict() == version.counts[part]
    everyone = pd.concat(parts.values()).sort_values("record_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(everyone, records(), check_dtype=False)


def test_the_order_of_the_rows_changes_no_byte_and_the_seed_does(root: Path, tmp_path: Path) -> None:
    version = store(root)
    before = files(root / "data")
    shuffled = records().sample(frac=1, random_state=3)
    assert store(root, frame=shuffled) == version
    assert store(tmp_path / "elsewhere", frame=shuffled) == version
    assert files(root / "data") == before
    assert store(root, seed=2).dvc_hash != version.dvc_hash


def test_storing_the_same_split_again_touches_nothing(root: Path) -> None:
    version = store(root)
    kept = [p for p in root.rglob("*") if p.is_file() and p.suffix in (".parquet", ".json", ".dvc", ".dir")]
    dates = [p.stat().st_mtime_ns for p in kept if p.parent != root]
    assert store(root) == version
    assert [p.stat().st_mtime_ns for p in kept if p.parent != root] == dates


def test_a_past_version_comes_back_identical_after_everything_local_is_gone(root: Path) -> None:
    first = store(root)
    content = files(root / first.path)
    second = store(root, seed=2)
    assert restore(root, "toy", first.dvc_hash, LOCAL) == first
    assert files(root / first.path) == content
    forget(root)
    assert restore(root, "toy", first.dvc_hash, LOCAL) == first
    assert files(root / first.path) == content
    assert first.dvc_hash in (root / "data" / "splits" / "toy.dvc").read_text()
    aside = restore(root, "toy", second.dvc_hash, LOCAL, dest=root / "aside")
    assert (aside.path, aside.dvc_hash) == ("aside", second.dvc_hash)
    assert files(root / first.path) == content
    assert len(load_part(root, aside, "test")) == 70


def test_what_cannot_be_restored_is_refused(root: Path) -> None:
    version = store(root)
    with pytest.raises(BadInput, match="no split version"):
        restore(root, "toy", "../../etc", LOCAL)
    with pytest.raises(BadInput, match="no split of task 'other'"):
        restore(root, "other", version.dvc_hash, LOCAL)
    with pytest.raises(BadInput, match="exists"):
        restore(root, "toy", version.dvc_hash, LOCAL, dest=root / "data")
    with pytest.raises(Unavailable, match="remote 'local' lacks it"):
        restore(root, "toy", f"{'0' * 32}.dir", LOCAL)


def test_a_version_is_read_as_stored_though_the_folder_holds_another(root: Path) -> None:
    first = store(root)
    kept = load_part(root, first, "train")
    second = store(root, seed=2)
    pd.testing.assert_frame_equal(load_part(root, first, "train"), kept)
    assert not load_part(root, second, "train").equals(kept)


@pytest.mark.parametrize("name", ["test.parquet", "train.parquet", "split.json"])
def test_an_altered_folder_is_never_read(root: Path, name: str) -> None:
    version = store(root)
    kept = load_part(root, version, "test")
    target = root / version.path / name
    dates = target.stat()
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)
    os.utime(target, ns=(dates.st_atime_ns, dates.st_mtime_ns))  # same size, same date
    pd.testing.assert_frame_equal(load_part(root, version, "test"), kept)
    target.unlink()
    pd.testing.assert_frame_equal(load_part(root, version, "test"), kept)


def test_altered_cache_is_mended_from_the_remote_and_an_altered_remote_is_refused(root: Path) -> None:
    version = store(root)
    kept = load_part(root, version, "test")
    shutil.rmtree(root / version.path)
    name = hashlib.md5((_stored(root, version, "test")).read_bytes()).hexdigest()  # noqa: S324 - DVC's
    for base in (root / ".dvc" / "cache", root / ".primum" / "dvc-remote"):
        path = base / "files" / "md5" / name[:2] / name[2:]
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        path.chmod(0o444)  # as DVC protects it: it does not look into such files again
        if base.name == "cache":
            pd.testing.assert_frame_equal(load_part(root, version, "test"), kept)
    shutil.rmtree(root / ".dvc" / "cache")
    with pytest.raises(Tampered, match="does not match"):
        load_part(root, version, "test")


def _stored(root: Path, version: SplitVersion, part: str) -> Path:
    listing = root / ".dvc/cache/files/md5" / version.dvc_hash[:2] / version.dvc_hash[2:]
    name = next(e["md5"] for e in json.loads(listing.read_text()) if e["relpath"] == f"{part}.parquet")
    return root / ".dvc/cache/files/md5" / name[:2] / name[2:]


def test_the_pointer_note_is_a_command_until_git_has_the_pointer(root: Path) -> None:
    first = store(root)
    note = pointer_note(root, first)
    assert note is not None
    assert note.startswith("git add data/splits/toy.dvc && git commit -m 'Split toy ")
    git(root, "add", "data/splits/toy.dvc")
    git(root, "commit", "-qm", "split", "--", "data/splits/toy.dvc")
    assert pointer_note(root, first) is None
    second = store(root, seed=2)
    assert pointer_note(root, second) is not None


def test_a_folder_without_git_works(tmp_path: Path) -> None:
    version = store(tmp_path)
    note = pointer_note(tmp_path, version)
    assert note is not None
    assert "no git repository" in note
    assert len(load_part(tmp_path, version, "test")) == 70


def test_an_existing_repository_is_left_as_it_is(root: Path) -> None:
    ensure_repo(root)
    (root / ".dvc" / "config").write_text(
        "[core]\n    remote = mine\n['remote \"mine\"']\n    url = ../mine\n"
    )
    ensure_repo(root)
    version = store(root, stack=StackConfig(dvc_remote="mine"))
    assert (root / "mine" / "files" / "md5" / version.dvc_hash[:2] / version.dvc_hash[2:]).is_file()
    with pytest.raises(BadInput, match=r"'local' is not a remote of .dvc/config \(mine\)"):
        store(root)


def test_a_broken_config_is_bad_input(root: Path) -> None:
    ensure_repo(root)
    (root / ".dvc" / "config").write_text("[core\n")
    with pytest.raises(BadInput, match=r"\.dvc/config: .*mend the file"):
        store(root)


@pytest.fixture(scope="module")
def s3(moto: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(key, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield moto


def s3_stack(endpoint: str, bucket: str = "splits") -> StackConfig:
    return StackConfig(dvc_remote="s3", dvc_remote_url=f"s3://{bucket}/primum", dvc_endpoint_url=endpoint)


def test_s3_push_and_restore_over_the_wire(root: Path, s3: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="splits")
    version = store(root, stack=s3_stack(s3))
    content = files(root / version.path)
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="splits")["Contents"]]
    assert f"primum/files/md5/{version.dvc_hash[:2]}/{version.dvc_hash[2:]}" in keys
    assert len(keys) == 5
    forget(root)
    assert restore(root, "toy", version.dvc_hash, s3_stack(s3)) == version
    assert files(root / version.path) == content
    forget(root)
    assert len(load_part(root, version, "test", s3_stack(s3))) == 70


def test_an_unreachable_remote_keeps_the_split_and_stops(
    root: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "file").write_text("in the way")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(dvc_folder, "ANSWER_SECONDS", 0.5)
        broken = {
            "refused": s3_stack(dead),
            "silent": s3_stack(f"http://127.0.0.1:{silent.getsockname()[1]}"),
            "no bucket": s3_stack(s3, bucket="missing"),
            "no folder": StackConfig(dvc_remote_url="file/remote"),
        }
        for seed, stack in enumerate(broken.values()):
            with pytest.raises(Unavailable, match="cannot be reached") as problem:
                store(root, seed=seed, stack=stack)
            message = str(problem.value)
            assert "\n" not in message
            assert "the split is kept in data/splits/toy" in message
            assert "training did not start" in message
            assert (root / "data" / "splits" / "toy" / "test.parquet").is_file()
    assert store(root, seed=3).dvc_hash in message


def _race(
    root: Path, seed: int, start: multiprocessing.synchronize.Event, found: multiprocessing.Queue
) -> None:
    start.wait(60)
    version = store(root, seed=seed)
    found.put((seed, version.dvc_hash, len(load_part(root, version, "test"))))


def test_callers_at_the_same_time_take_turns_from_the_first_start_on(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, found = context.Event(), context.Queue()
    callers = [context.Process(target=_race, args=(tmp_path, seed, start, found)) for seed in (1, 2)]
    for caller in callers:
        caller.start()
    start.set()
    results = [found.get(timeout=120) for _ in callers]
    for caller in callers:
        caller.join(60)
    assert [caller.exitcode for caller in callers] == [0, 0]
    assert {hash_ for _, hash_, _ in results} == {store(tmp_path, seed=seed).dvc_hash for seed in (1, 2)}
    assert [rows for *_, rows in results] == [70, 70]


def test_a_lock_that_is_never_given_up_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import zc.lockfile

    version = store(root)
    held = zc.lockfile.LockFile(str(root / ".dvc" / "tmp" / "lock"))
    monkeypatch.setattr(versioning, "LOCK_SECONDS", 4)
    try:
        with pytest.raises(Unavailable, match=r"another process holds DVC's lock .* for 4 s now"):
            store(root, seed=2)
    finally:
        held.close()
    assert capfd.readouterr().err.count("waiting for at most 4 s") == 1
    assert store(root) == version


def test_a_failure_in_the_middle_leaves_the_old_split(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    version = store(root)
    before = files(root / "data")

    def full(self: Repo, targets: list[str]) -> None:
        (root / "data" / "splits" / "toy.dvc").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Repo, "add", full)
    with pytest.raises(Unavailable, match="the disk is full"):
        store(root, seed=2)
    assert files(root / "data") == before
    assert [p.name for p in (root / "data" / "splits").iterdir() if p.name.startswith(".toy")] == []
    assert len(load_part(root, version, "test")) == 70


def test_what_a_killed_process_left_is_in_nobodys_way(root: Path) -> None:
    version = store(root)
    for name in (".toy.primum-draft", ".toy.primum-draft.old"):
        shutil.copytree(root / version.path, root / "data" / "splits" / name)
    assert store(root, seed=2).dvc_hash != version.dvc_hash
    assert {p.name for p in (root / "data" / "splits").iterdir()} == {"toy", "toy.dvc", ".gitignore"}


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk is made with Linux's tmpfs")
@pytest.mark.parametrize("size", ["1m", "5m"])
def test_a_really_full_disk_is_one_line_and_keeps_the_old_split(tmp_path: Path, size: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        stack = StackConfig(dvc_remote_url=str(tmp_path / "remote"))
        if size == "5m":
            store(disk, stack=stack)
        before = files(disk / "data")
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 2**16))
        with pytest.raises(Unavailable, match="the disk is full"):
            store_split(disk, _parquet(tmp_path), assign(records(), TASK, 2), TASK, stack, 2)
        assert files(disk / "data") == before
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def _parquet(folder: Path) -> Path:
    records().to_parquet(folder / "records.parquet", index=False)
    return folder / "records.parquet"
