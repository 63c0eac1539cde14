"""Schedules of one machine: when, by which timer, and the wrapper that each timer starts.

`cron` reads cron lines and writes them as systemd and launchd want them; `systemd`, `crontab` and `launchd` install
them; `schedules` keeps what was installed under .primum/schedules; `install` puts them together, `standing`
tells how they are; `wrapper` is what a timer starts.
"""
