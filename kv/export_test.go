package kv

// What package kv/driver describes, for the test that holds both equal.
type (
	ExpiryDriver       = expiryDriver
	BatchDriver        = batchDriver
	CounterDriver      = counterDriver
	ListDriver         = listDriver
	WatchDriver        = watchDriver
	InvalidationDriver = invalidationDriver
)
