variable "region" {
  description = "Where everything lies and runs. Patients' data stays in this region."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Write a region as AWS does, such as eu-central-1."
  }
}

variable "name" {
  description = "Prefix of all names; buckets are unique in the world, so say whose it is (primum-my-hospital)."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}[a-z0-9]$", var.name))
    error_message = "4 to 32 lower-case letters, digits and dashes, beginning with a letter."
  }
}

variable "gpu" {
  description = "Instance type of the steps that load the base."
  type        = string
  default     = "ml.g5.xlarge"

  validation {
    condition     = can(regex("^ml\\.[a-z0-9]+\\.[a-z0-9]+$", var.gpu))
    error_message = "Write a SageMaker instance type, such as ml.g5.xlarge."
  }
}

variable "pipelines" {
  description = "Names of the pipelines that schedules may start."
  type        = set(string)
  default     = ["finetune", "drift", "retrain"]

  validation {
    condition     = alltrue([for p in var.pipelines : can(regex("^[a-z][a-z0-9-]*$", p))])
    error_message = "Lower-case letters, digits and dashes."
  }
}

variable "vpc_id" {
  description = "The VPC that jobs run in; null: SageMaker's own network."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || can(regex("^vpc-[0-9a-f]+$", coalesce(var.vpc_id, "-")))
    error_message = "A VPC's id begins with vpc-."
  }
}

variable "subnet_ids" {
  description = "Private subnets of that VPC. They need a way to S3, ECR, logs, and to the ZenML server and ledger."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", s))])
    error_message = "A subnet's id begins with subnet-."
  }
}

variable "https_destinations" {
  description = "Address ranges that jobs in the VPC may reach on port 443 (ZenML server, endpoints of AWS)."
  type        = list(string)
  default     = ["10.0.0.0/8"]
}

variable "ledger" {
  description = "Where the ledger's database is: address range and port that jobs in the VPC may reach."
  type        = object({ range = string, port = number })
  default     = { range = "10.0.0.0/8", port = 5432 }
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

variable "log_days" {
  description = "Days that access logs are kept."
  type        = number
  default     = 400

  validation {
    condition     = var.log_days >= 365
    error_message = "At least a year."
  }
}
