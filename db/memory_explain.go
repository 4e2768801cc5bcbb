package db

import (
	"context"
	"fmt"
)

// Explain tells that memory walks through the records in the order of their ids,
// and for another order sorts what it finds.
func (m *memory) Explain(_ context.Context, _ string, q Query) (Plan, error) {
	p := Plan{Indexes: []string{FieldID}, Scan: len(Conjuncts(q.Filter)) > 0, Sort: len(q.Order) > 1}
	p.Scan = p.Scan || p.Sort
	p.Engine = fmt.Sprintf("walk by id, scan %v, sort %v", p.Scan, p.Sort)
	return p, nil
}

// Explain is the same in a transaction.
func (x *memTx) Explain(ctx context.Context, table string, q Query) (Plan, error) {
	return x.m.Explain(ctx, table, q)
}
