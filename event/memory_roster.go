package event

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Attend keeps who is there, by this process's clock; all members are in it.
func (m *memory) Attend(_ context.Context, group, consumer string, ttl time.Duration) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	there := m.roster[group]
	if there == nil {
		if m.roster == nil {
			m.roster = map[string]map[string]time.Time{}
		}
		there = map[string]time.Time{}
		m.roster[group] = there
	}
	there[consumer] = now.Add(ttl)
	maps.DeleteFunc(there, func(_ string, until time.Time) bool { return !now.Before(until) })
	if len(there) == 0 {
		delete(m.roster, group)
	}
	return slices.Sorted(maps.Keys(there)), nil
}
