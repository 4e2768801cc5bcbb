package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// How an ordered member comes to its partitions and gives them up.

// mayJoin asks whether the user may be a member of a group at all, which kgo would
// only find out after Subscribe has returned: with the heartbeat of nobody, which
// needs the same right and is refused for another reason if the user has it.
func (d *driver) mayJoin(ctx context.Context, g *group) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation = d.kafkaGroup(g), -1
	resp, err := req.RequestWith(ctx, d.conn.Client)
	if err == nil {
		err = kafka.Code(resp.ErrorCode)
	}
	err = kafka.ReadError(err)
	if errors.Is(err, fault.Denied) {
		return err
	}
	return nil // anything else is for the member to see, and to recover from
}

// OnGroupManageError is called by kgo, which tries again. A right that was taken away
// is said to who waits for records.
func (m *ordered) OnGroupManageError(err error) {
	err = kafka.ReadError(err)
	if !errors.Is(err, fault.Denied) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = err
	m.wake()
}

// takeRefused returns once why Kafka did not let the member join.
func (m *ordered) takeRefused() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.refused
	m.refused = nil
	return err
}

// sessionTimeout is the time that Kafka takes for a session, as near to what is
// asked for as the brokers allow.
func (d *driver) sessionTimeout(ctx context.Context, asked time.Duration) (time.Duration, error) {
	least, err := time.ParseDuration(d.brokerConfig(ctx, "group.min.session.timeout.ms", "6000") + "ms")
	if err != nil {
		return 0, err
	}
	most, err := time.ParseDuration(d.brokerConfig(ctx, "group.max.session.timeout.ms", "1800000") + "ms")
	if err != nil {
		return 0, err
	}
	return min(max(asked, least), most), nil
}

// assigned takes partitions. One that was this member's before, and whose last
// handlers still run, is not begun before they have returned.
func (m *ordered) assigned(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range parts[m.d.topic] {
		m.turns[p] = &turn{p: p, former: m.ended[p]}
		delete(m.ended, p)
	}
	m.wake()
}

// revoked gives partitions up in order: no handler begins with their records any
// more, those that run are waited for, and what they have done is committed, so that
// the next member begins after it. Kafka gives the partitions to nobody until this
// returns, or until the time is over that it has for a rebalance.
func (m *ordered) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	leaving := m.giveUp(parts)
	if len(leaving) > 0 && !m.isClosed() { // Close has done that
		m.finish(ctx, leaving)
	}
	m.leave(leaving)
}

// finish waits for the handlers of turns, and commits what they have done.
func (m *ordered) finish(ctx context.Context, turns []*turn) {
	waiting, cancel := context.WithTimeout(ctx, m.rebalance*3/4)
	m.idle(waiting, turns)
	cancel()
	m.mu.Lock()
	for _, t := range turns {
		t.giveBack()
	}
	m.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, m.rebalance/8)
	defer cancel()
	if err := m.commit(bounded); err != nil {
		m.d.log.Warn("event: committing what is given up failed", "group", m.group.Name, "error", err)
	}
}

// taken gives up partitions that are others' already.
func (m *ordered) taken(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	m.leave(m.giveUp(parts))
}

// giveUp has nothing more handed out of partitions, and returns their turns.
func (m *ordered) giveUp(parts map[string][]int32) (turns []*turn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range parts[m.d.topic] {
		if t := m.turns[p]; t != nil {
			t.leaving = true
			turns = append(turns, t)
		}
	}
	m.lost = m.lost || len(turns) > 0 && !m.closed
	m.wake()
	return turns
}

// leave forgets turns that are over.
func (m *ordered) leave(turns []*turn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range turns {
		if m.turns[t.p] == t {
			delete(m.turns, t.p)
		}
		if t.busy() {
			m.ended[t.p] = t
		}
	}
	m.wake()
}

// idle waits until no handler runs on records of some turns.
func (m *ordered) idle(ctx context.Context, turns []*turn) {
	for {
		m.mu.Lock()
		changed := m.changed
		busy := slices.ContainsFunc(turns, (*turn).busy)
		m.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (m *ordered) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// wake tells Fetch that something has changed. m.mu is held.
func (m *ordered) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// again has all turns begin again, as Kafka may think that they are others'. m.mu is
// held.
func (m *ordered) again() {
	for p, t := range m.turns {
		if t.leaving {
			continue
		}
		m.lost = m.lost || len(t.handed) > 0
		m.turns[p] = &turn{p: p, former: t}
	}
	m.until = time.Time{}
	m.wake()
}

// Begin reports whether a handler may begin with a record: its partition must be this
// member's, for all that it knows.
func (m *ordered) Begin(d event.Delivered) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !time.Now().Before(m.until) && len(m.turns) > 0 && !m.until.IsZero() {
		m.again()
	}
	tag := d.Tag.(handed)
	if m.until.IsZero() || !m.has(tag.turn) {
		return false
	}
	tag.turn.running++
	tag.turn.tried[tag.offset] = true
	return true
}

// has reports whether a turn goes on. m.mu is held.
func (m *ordered) has(t *turn) bool { return m.turns[t.p] == t && !t.leaving }

// End notes that a handler has returned. What it has done counts at once, since the
// turn may be over when Ack comes.
func (m *ordered) End(d event.Delivered, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tag := d.Tag.(handed)
	if done && m.turns[tag.turn.p] == tag.turn && tag.turn.ack(tag.offset) {
		m.unsaid = true
	}
	tag.turn.running--
	if tag.turn.running == 0 {
		m.wake()
	}
}

// Kept reports whether a record is still this member's.
func (m *ordered) Kept(d event.Delivered) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.has(d.Tag.(handed).turn)
}

// takeLost reports once that something was lost.
func (m *ordered) takeLost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := m.lost
	m.lost = false
	return lost
}
