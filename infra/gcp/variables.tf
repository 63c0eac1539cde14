variable "project" {
  description = "The project's id; best one that holds nothing else."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "Write the project's id, not its number or name."
  }
}

variable "region" {
  description = "Where everything lies and runs. Not every region has A100s."
  type        = string
  default     = "europe-west4"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Write a region as Google does, such as europe-west4."
  }
}

variable "name" {
  description = "Prefix of all names; buckets are unique in the world, so say whose it is (primum-my-hospital)."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name))
    error_message = "4 to 20 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "machine" {
  description = "Machine type of the steps that load the base."
  type        = string
  default     = "a2-highgpu-1g"
}

variable "accelerator" {
  description = "Its GPU as Vertex AI names it."
  type        = string
  default     = "NVIDIA_TESLA_A100"

  validation {
    condition     = can(regex("^NVIDIA_[A-Z0-9_]+$", var.accelerator))
    error_message = "Such as NVIDIA_TESLA_A100, NVIDIA_L4 or NVIDIA_TESLA_T4."
  }
}

variable "submitters" {
  description = "Who may start runs: user:..., group:... or serviceAccount:..."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for m in var.submitters : can(regex("^(user|group|serviceAccount):.+@.+$", m))])
    error_message = "Write user:, group: or serviceAccount: before the address. allUsers is nobody to start runs."
  }
}

variable "old_versions_days" {
  description = "Days until replaced or deleted objects are gone for good."
  type        = number
  default     = 90

  validation {
    condition     = var.old_versions_days >= 7
    error_message = "At least a week, so that a mistake can be undone."
  }
}
