package kv

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"
)

// List takes the keys at one moment and their items as it goes.
func (m *memory) List(ctx context.Context, prefix, after string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var keys []string
		m.items.Range(func(key string, _ stored, _ time.Duration) bool {
			if key > after && strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
			return true
		})
		slices.Sort(keys)
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				yield(Item{}, err)
				return
			}
			if s, life, ok := m.items.Get(key); ok && !yield(s.item(key, life), nil) {
				return
			}
		}
	}
}
