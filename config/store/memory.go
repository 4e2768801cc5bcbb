package store

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// memory is the embedded driver: documents live as long as the store.
type memory struct {
	mu      sync.Mutex
	records map[string][]Record // by namespace; number n is at n-1
	news    chan struct{}       // closed at the next Append
}

func newMemory() *memory {
	return &memory{records: map[string][]Record{}, news: make(chan struct{})}
}

func (m *memory) Append(ctx context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if have := uint64(len(m.records[r.Namespace])); r.Number != have+1 {
		return fmt.Errorf("version %d on top of %d: %w", r.Number, have, ErrConflict)
	}
	m.records[r.Namespace] = append(m.records[r.Namespace], r)
	close(m.news)
	m.news = make(chan struct{})
	return nil
}

func (m *memory) Newest(ctx context.Context, namespace string) (Record, error) {
	return m.Read(ctx, namespace, 0)
}

func (m *memory) Read(ctx context.Context, namespace string, number uint64) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.records[namespace]
	if number == 0 {
		number = uint64(len(all))
	}
	if number == 0 || number > uint64(len(all)) {
		return Record{}, fmt.Errorf("no such version: %w", ErrNotFound)
	}
	return all[number-1], ctx.Err()
}

func (m *memory) History(ctx context.Context, namespace string) iter.Seq2[Record, error] {
	m.mu.Lock()
	all := slices.Clone(m.records[namespace])
	m.mu.Unlock()
	return func(yield func(Record, error) bool) {
		for _, r := range slices.Backward(all) {
			if !yield(r, ctx.Err()) {
				return
			}
		}
	}
}

func (m *memory) Namespaces(ctx context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.records)), ctx.Err()
}

func (m *memory) Watch(ctx context.Context, _ []string, changed func(error)) error {
	for {
		m.mu.Lock()
		news := m.news
		m.mu.Unlock()
		changed(nil)
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *memory) Ping(context.Context) error { return nil }
func (m *memory) Close() error               { return nil }
