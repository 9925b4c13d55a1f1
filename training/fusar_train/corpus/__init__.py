"""Training data: records and their files, readers of public data sets, chips, questions and answers."""
