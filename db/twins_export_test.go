package db

// The abilities of drivers as package db looks for them, for TestTwins.
type (
	Batcher     = batcher
	Executor    = executor
	Explainer   = explainer
	Indexer     = indexer
	Operations  = operations
	Transaction = transaction
	Transactor  = transactor
)
