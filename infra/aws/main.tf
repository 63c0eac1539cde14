data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  arn       = "arn:${local.partition}"
  in_vpc    = var.vpc_id != null && length(var.subnet_ids) > 0
}

# One key for buckets, images and results.
resource "aws_kms_key" "this" {
  description             = "Primum: artifacts, images and results of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109: a key's policy names no resource but the key; the account's own policies narrow it
  # checkov:skip=CKV_AWS_111: as above
  # checkov:skip=CKV_AWS_356: in a key's policy "*" means this key
  statement {
    sid       = "TheAccountDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.arn}:iam::${local.account}:root"]
    }
  }
}

# A network of their own for jobs, where a VPC is given: nothing comes in, and out only what they need.
resource "aws_security_group" "jobs" {
  # checkov:skip=CKV2_AWS_5: SageMaker attaches it to jobs, which Terraform does not make
  count = local.in_vpc ? 1 : 0

  name        = "${var.name}-jobs"
  description = "Jobs of Primum: nothing in, HTTPS and the ledger out"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = local.in_vpc ? toset(var.https_destinations) : []

  security_group_id = aws_security_group.jobs[0].id
  description       = "ZenML server and endpoints of AWS"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  count = local.in_vpc ? 1 : 0

  security_group_id = aws_security_group.jobs[0].id
  description       = "S3 through the VPC's gateway"
  prefix_list_id    = data.aws_prefix_list.s3[0].id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

data "aws_prefix_list" "s3" {
  count = local.in_vpc ? 1 : 0
  name  = "com.amazonaws.${var.region}.s3"
}

resource "aws_vpc_security_group_egress_rule" "ledger" {
  count = local.in_vpc ? 1 : 0

  security_group_id = aws_security_group.jobs[0].id
  description       = "The ledger's database"
  cidr_ipv4         = var.ledger.range
  ip_protocol       = "tcp"
  from_port         = var.ledger.port
  to_port           = var.ledger.port
}
