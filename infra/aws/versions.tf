terraform {
  required_version = ">= 1.9, < 2"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
  # State names every resource, so keep it where the account keeps such things: a `backend "s3"` of your own
  # (terraform init -backend-config=FILE). Without one it lies in this folder, and git ignores it.
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = "primum", stack = var.name }
  }
}
