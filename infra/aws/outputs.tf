output "stack" {
  description = "Keys of a stack's file: primum stack setup aws --from-terraform FILE reads them."
  value = {
    dvc_remote     = "s3"
    dvc_remote_url = "s3://${aws_s3_bucket.artifacts.bucket}/dvc"
    cloud = {
      region          = var.region
      artifacts       = "s3://${aws_s3_bucket.artifacts.bucket}"
      registry        = split("/", aws_ecr_repository.images.repository_url)[0]
      role            = aws_iam_role.jobs.arn
      scheduler_role  = aws_iam_role.schedules.arn
      kms_key         = aws_kms_key.this.arn
      gpu             = var.gpu
      subnets         = local.in_vpc ? var.subnet_ids : []
      security_groups = aws_security_group.jobs[*].id
    }
  }
}

output "repository" {
  description = "Where images are pushed to; the pushed image's address goes into cloud.image."
  value       = aws_ecr_repository.images.repository_url
}

output "submit_policy" {
  description = "The policy for whoever starts runs."
  value       = aws_iam_policy.submit.arn
}
