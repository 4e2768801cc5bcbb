package rabbitmq

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
)

// The turn of an exclusive member. The server hands the queue's records to one
// consumer, until its channel is closed or nothing came over its connection for two
// heartbeats at least; then those that had no answer go to the next one first, in
// order. So a member counts on its turn for less than two heartbeats from when it
// asked something that the server answered.

// Holds reports whether the turn lasts.
func (m *member) Holds() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ch == nil || m.ch.IsClosed() {
		return !m.exclusive
	}
	if !m.exclusive || time.Now().Before(m.until) {
		return true
	}
	if !m.until.IsZero() { // wake Fetch: what is held must be handed out again
		m.until = time.Time{}
		close(m.over)
	}
	return false
}

// prove asks the server for an answer on the consumer's connection, unless it gave
// one a moment ago.
func (m *member) prove(ctx context.Context) error {
	m.mu.Lock()
	ch, left := m.ch, time.Until(m.until)
	m.mu.Unlock()
	if ch == nil {
		return fault.Lost
	}
	if left > m.heartbeat {
		return nil
	}
	asked := time.Now()
	err := m.lines.consuming.Ask(ctx, rabbitmq.Alive)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ch != ch || ch.IsClosed() {
		return fault.Lost
	}
	select {
	case <-m.over: // the front has dropped what it held
		return fault.Lost
	default:
	}
	m.until = asked.Add(2 * m.heartbeat * 9 / 10)
	return nil
}
