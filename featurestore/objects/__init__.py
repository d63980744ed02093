"""The store on object stores (S3, Google Cloud Storage, Azure): the protocol of a local disk by conditional puts.

There are no links, locks or folders there, and nobody can tell whether a writer still lives. What there is: a put that
succeeds only where nothing is yet, and reads and lists that see every put that was answered before. The modules say
what each step relies on; docs/decisions/object-stores.md has the whole.

<url>/.featurestore                         the store's random id
<url>/<group>/log/00000000000000000042      manifests; the highest is the head
<url>/<group>/data/<name>/<txn>.parquet     data files, immutable
<url>/<group>/horizon/00000000000000000040  numbers below the highest of these are collected; holds what they were
"""
