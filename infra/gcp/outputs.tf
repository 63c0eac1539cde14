output "stack" {
  description = "Keys of a stack's file: primum stack setup gcp --from-terraform FILE reads them."
  value = {
    cloud = {
      project     = var.project
      region      = var.region
      artifacts   = "gs://${google_storage_bucket.artifacts.name}"
      registry    = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.name}"
      role        = google_service_account.jobs.email
      kms_key     = google_kms_crypto_key.this.id
      gpu         = var.machine
      accelerator = var.accelerator
    }
  }
}
