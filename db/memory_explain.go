package db

import "context"

// Explain tells which indexes a search would read, and how many entries of
// them.
func (m *memory) Explain(_ context.Context, table string, q Query) (Plan, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.tables[table].plan(q).describe(q), nil
}

// Explain is the same in a transaction, without what that has written.
func (x *memTx) Explain(ctx context.Context, table string, q Query) (Plan, error) {
	return x.m.Explain(ctx, table, q)
}
