terraform {
  required_version = ">= 1.9, < 2"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "6.40.0"
    }
  }
  # Keep the state in a bucket of your own: terraform init -backend-config=FILE with a `backend "gcs"`.
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = { project = "primum", stack = var.name }
}
