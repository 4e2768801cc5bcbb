package metrics

// Vec is an instrument with labels: one T for each combination of values.
type Vec[T any] struct {
	table *table[T]
}

// table is what a Vec looks its handles up in.
type table[T any] struct{}
