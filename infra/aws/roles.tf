# What steps run as. SageMaker starts the steps of a pipeline with the same role, hence the statements on jobs.
resource "aws_iam_role" "jobs" {
  name                 = "${var.name}-jobs"
  description          = "Steps of Primum's pipelines on SageMaker"
  max_session_duration = 3600
  assume_role_policy   = data.aws_iam_policy_document.sagemaker_may.json
}

data "aws_iam_policy_document" "sagemaker_may" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "jobs" {
  # checkov:skip=CKV_AWS_356: three actions know no resource: ECR's login, metrics (bound to a namespace), and in a VPC
  # checkov:skip=CKV_AWS_111: SageMaker's network interfaces (bound to the subnets' VPC by the security group)
  statement {
    sid       = "ListTheBucket"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.artifacts.arn]
  }

  statement {
    sid       = "ReadAndWriteArtifacts"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.artifacts.arn}/*"]
  }

  statement {
    sid       = "UseTheKey"
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    resources = [aws_kms_key.this.arn]
  }

  statement {
    sid       = "DisksWithTheKey"
    actions   = ["kms:CreateGrant"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }

  statement {
    sid       = "PullTheImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.images.arn]
  }

  statement {
    sid       = "LogInToTheRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.arn}:logs:${var.region}:${local.account}:log-group:/aws/sagemaker/*"]
  }

  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/*"]
    }
  }

  statement {
    sid = "StartTheStepsOfAPipeline"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreateTrainingJob",
      "sagemaker:DescribeTrainingJob",
      "sagemaker:StopTrainingJob",
    ]
    resources = ["${local.arn}:sagemaker:${var.region}:${local.account}:training-job/*"]
  }

  statement {
    sid       = "AsThemselves"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.jobs.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  dynamic "statement" {
    for_each = local.in_vpc ? [1] : []

    content {
      sid = "NetworkInterfacesInTheVPC"
      actions = [
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
      ]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "jobs" {
  name   = "steps"
  role   = aws_iam_role.jobs.id
  policy = data.aws_iam_policy_document.jobs.json
}

# What EventBridge starts scheduled pipelines as.
resource "aws_iam_role" "schedules" {
  name               = "${var.name}-schedules"
  description        = "Starts Primum's scheduled pipelines"
  assume_role_policy = data.aws_iam_policy_document.scheduler_may.json
}

data "aws_iam_policy_document" "scheduler_may" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "schedules" {
  statement {
    sid       = "StartOurPipelines"
    actions   = ["sagemaker:StartPipelineExecution"]
    resources = local.pipelines
  }
}

resource "aws_iam_role_policy" "schedules" {
  name   = "start"
  role   = aws_iam_role.schedules.id
  policy = data.aws_iam_policy_document.schedules.json
}

# For whoever runs `primum stack setup` and starts runs: attach it to their group or role.
resource "aws_iam_policy" "submit" {
  name        = "${var.name}-submit"
  description = "Start Primum's pipelines, schedule them, push images"
  policy      = data.aws_iam_policy_document.submit.json
}

locals {
  # ZenML appends a random word to a pipeline's name.
  pipelines = [for p in var.pipelines : "${local.arn}:sagemaker:${var.region}:${local.account}:pipeline/${p}-*"]
}

data "aws_iam_policy_document" "submit" {
  # checkov:skip=CKV_AWS_356: ECR's login and SageMaker's list of Studio domains know no resource
  statement {
    sid       = "ListTheBucket"
    actions   = ["s3:ListBucket", "s3:GetBucketLocation"]
    resources = [aws_s3_bucket.artifacts.arn]
  }

  statement {
    sid       = "ReadAndWriteArtifacts"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.artifacts.arn}/*"]
  }

  statement {
    sid       = "UseTheKey"
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    resources = [aws_kms_key.this.arn]
  }

  statement {
    sid = "PipelinesOfOurs"
    actions = [
      "sagemaker:AddTags",
      "sagemaker:CreatePipeline",
      "sagemaker:DeletePipeline",
      "sagemaker:DescribePipeline",
      "sagemaker:DescribePipelineExecution",
      "sagemaker:ListPipelineExecutionSteps",
      "sagemaker:StartPipelineExecution",
      "sagemaker:StopPipelineExecution",
      "sagemaker:UpdatePipeline",
    ]
    resources = concat(local.pipelines, [for p in local.pipelines : "${p}/execution/*"])
  }

  statement {
    sid       = "SchedulesOfOurs"
    actions   = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:GetSchedule", "scheduler:UpdateSchedule"]
    resources = [for p in var.pipelines : "${local.arn}:scheduler:${var.region}:${local.account}:schedule/default/${p}-*"]
  }

  statement {
    sid       = "HandTheRolesOver"
    actions   = ["iam:GetRole", "iam:PassRole"]
    resources = [aws_iam_role.jobs.arn, aws_iam_role.schedules.arn]
  }

  statement {
    sid = "PushImages"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages",
      "ecr:DescribeRepositories",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [aws_ecr_repository.images.arn]
  }

  statement {
    sid       = "WithoutAResource"
    actions   = ["ecr:GetAuthorizationToken", "sagemaker:ListDomains"]
    resources = ["*"]
  }
}
