data "google_project" "this" {}

locals {
  agents = {
    storage  = "serviceAccount:${data.google_storage_project_service_account.this.email_address}"
    registry = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    vertex   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
  }
}

data "google_storage_project_service_account" "this" {}

resource "google_project_service" "needed" {
  for_each = toset([
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "cloudkms.googleapis.com",
    "logging.googleapis.com",
    "storage.googleapis.com",
  ])

  service            = each.value
  disable_on_destroy = false
}

# One key for buckets, images, disks and results.
resource "google_kms_key_ring" "this" {
  name       = var.name
  location   = var.region
  depends_on = [google_project_service.needed]
}

resource "google_kms_crypto_key" "this" {
  name            = "data"
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s" # 90 days

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = local.agents

  crypto_key_id = google_kms_crypto_key.this.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value
}

# One bucket: zenml/ (artifacts), home/ (PRIMUM_HOME of steps), jobs/ (what Vertex writes).
resource "google_storage_bucket" "artifacts" {
  name                        = "${var.name}-artifacts"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.this.id
  }

  logging {
    log_bucket        = google_storage_bucket.logs.name
    log_object_prefix = "artifacts"
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.old_versions_days
    }

    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 7
    }

    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agents]
}

resource "google_storage_bucket" "logs" {
  # checkov:skip=CKV_GCP_62: this is the bucket that access logs go to
  name                        = "${var.name}-access-logs"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  encryption {
    default_kms_key_name = google_kms_crypto_key.this.id
  }

  lifecycle_rule {
    condition {
      age = 400
    }

    action {
      type = "Delete"
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agents]
}

resource "google_storage_bucket_iam_member" "access_logs" {
  bucket = google_storage_bucket.logs.name
  role   = "roles/storage.objectCreator"
  member = "group:cloud-storage-analytics@google.com" # who delivers access logs
}

resource "google_artifact_registry_repository" "images" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images that Primum's steps run in"
  kms_key_name  = google_kms_crypto_key.this.id

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s" # 30 days
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agents]
}

# What steps run as.
resource "google_service_account" "jobs" {
  account_id   = "${var.name}-jobs"
  display_name = "Steps of Primum's pipelines on Vertex AI"
}

resource "google_storage_bucket_iam_member" "jobs" {
  for_each = toset(["roles/storage.objectUser", "roles/storage.legacyBucketReader"])

  bucket = google_storage_bucket.artifacts.name
  role   = each.value
  member = google_service_account.jobs.member
}

resource "google_artifact_registry_repository_iam_member" "jobs" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.jobs.member
}

# Vertex' own role for custom code may do far more than start the steps of a pipeline and write logs.
resource "google_project_iam_custom_role" "jobs" {
  role_id     = "${replace(var.name, "-", "_")}_jobs"
  title       = "Primum: steps of a pipeline"
  description = "Start and watch the jobs of a pipeline, write logs and metrics"
  permissions = [
    "aiplatform.customJobs.cancel",
    "aiplatform.customJobs.create",
    "aiplatform.customJobs.get",
    "aiplatform.metadataStores.get",
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.get",
    "logging.logEntries.create",
    "monitoring.timeSeries.create",
  ]
}

resource "google_project_iam_member" "jobs" {
  project = var.project
  role    = google_project_iam_custom_role.jobs.id
  member  = google_service_account.jobs.member
}

# A pipeline starts its steps as the same account.
resource "google_service_account_iam_member" "itself" {
  service_account_id = google_service_account.jobs.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.jobs.member
}

# Who may start runs.
resource "google_service_account_iam_member" "submitters" {
  for_each = var.submitters

  service_account_id = google_service_account.jobs.name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

resource "google_storage_bucket_iam_member" "submitters" {
  for_each = {
    for pair in setproduct(var.submitters, ["roles/storage.objectUser", "roles/storage.legacyBucketReader"]) :
    "${pair[0]} ${pair[1]}" => { member = pair[0], role = pair[1] }
  }

  bucket = google_storage_bucket.artifacts.name
  role   = each.value.role
  member = each.value.member
}

resource "google_artifact_registry_repository_iam_member" "submitters" {
  for_each = var.submitters

  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = each.value
}

resource "google_project_iam_custom_role" "submitters" {
  role_id     = "${replace(var.name, "-", "_")}_submit"
  title       = "Primum: start runs"
  description = "Start, schedule, watch and stop pipelines"
  permissions = [
    "aiplatform.pipelineJobs.cancel",
    "aiplatform.pipelineJobs.create",
    "aiplatform.pipelineJobs.get",
    "aiplatform.pipelineJobs.list",
    "aiplatform.schedules.create",
    "aiplatform.schedules.delete",
    "aiplatform.schedules.get",
    "aiplatform.schedules.list",
    "aiplatform.schedules.update",
  ]
}

resource "google_project_iam_member" "submitters" {
  for_each = var.submitters

  project = var.project
  role    = google_project_iam_custom_role.submitters.id
  member  = each.value
}
