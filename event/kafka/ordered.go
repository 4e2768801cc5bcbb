package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ordered is a member of a classic group: Kafka gives each partition to one
// member, which alone works on it until it leaves, dies, or another joins that is
// to have a share. kgo keeps the membership; reading is done here, as read.go does
// it, since what is held and not acknowledged outlasts many fetches.
//
// The member counts on its partitions by its own clock, for nine tenths of the
// session's timeout from before it sent the last commit that Kafka accepted.
type ordered struct {
	d       *driver
	g       event.GroupConfig
	group   *group
	client  *kgo.Client
	session time.Duration

	commits sync.Mutex // one at a time

	mu      sync.Mutex
	turns   map[int32]*turn // of the partitions that it has
	changed chan struct{}   // closed when they did
	until   time.Time       // when it counts on them no longer
	unsaid  bool            // the last commit of acknowledgements failed
	lost    bool            // something that it was working on is no longer its own; Fetch or Extend says so
	closed  bool
}

func (d *driver) joinOrdered(ctx context.Context, g event.GroupConfig, has *group) (event.Member, error) {
	session, err := d.sessionTimeout(ctx, g.AckWait)
	if err != nil {
		return nil, err
	}
	m := &ordered{d: d, g: g, group: has, session: session, turns: map[int32]*turn{}, changed: make(chan struct{})}
	m.client, err = d.conn.More(
		kgo.ConsumerGroup(d.kafkaGroup(has)), kgo.ConsumeTopics(d.topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(max(session/4, 50*time.Millisecond)), kgo.RebalanceTimeout(max(session, 10*time.Second)),
		kgo.DisableAutoCommit(), kgo.MaxConcurrentFetches(0), // it reads nothing: nobody polls
		kgo.OnPartitionsAssigned(m.assigned), kgo.OnPartitionsRevoked(m.revoked), kgo.OnPartitionsLost(m.revoked),
	)
	if err != nil {
		return nil, err
	}
	return m, nil
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

func (m *ordered) assigned(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range parts[m.d.topic] {
		m.turns[p] = &turn{p: p}
	}
	m.wake()
}

// revoked gives partitions up. Of what Kafka takes back in order the
// acknowledgements are kept; what it has given to others is theirs.
func (m *ordered) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	m.mu.Lock()
	for _, p := range parts[m.d.topic] {
		if t := m.turns[p]; t != nil {
			m.lost = m.lost || len(t.handed) > 0 && !m.closed
			delete(m.turns, p)
		}
	}
	m.wake()
	m.mu.Unlock()
}

// wake tells Fetch that something has changed. m.mu is held.
func (m *ordered) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Holds is asked before every handler. When the time is over, all turns begin
// again.
func (m *ordered) Holds() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost {
		return false
	}
	if !time.Now().Before(m.until) {
		for p := range m.turns {
			m.turns[p] = &turn{p: p}
		}
		m.until = time.Time{}
		m.wake()
		return false
	}
	return true
}

// takeLost reports once that something was lost. All turns begin again: the front
// drops what it holds of the others too.
func (m *ordered) takeLost() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lost {
		return false
	}
	m.lost = false
	for p, t := range m.turns {
		if len(t.handed) > 0 {
			m.turns[p] = &turn{p: p}
		}
	}
	return true
}

func (m *ordered) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.takeLost() {
			return nil, fault.Lost
		}
		if err := m.d.deleted(ctx, m.group); err != nil {
			return nil, err
		}
		if err := m.begin(ctx); err != nil {
			return nil, err
		}
		ds, first, err := m.next(ctx, limit)
		if first && err == nil {
			_ = m.commit(ctx) // counted before it is tried: it may end the process
		}
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		if err := m.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// begin finds out where the turns that are new begin, and sees that the member
// still has its partitions.
func (m *ordered) begin(ctx context.Context) error {
	m.mu.Lock()
	fresh, renew := false, len(m.turns) > 0 && time.Until(m.until) < m.session*6/10
	for _, t := range m.turns {
		fresh = fresh || !t.begun
	}
	m.mu.Unlock()
	if fresh {
		committed, err := m.d.committed(ctx, m.group)
		if err != nil {
			return err
		}
		m.mu.Lock()
		for p, t := range m.turns {
			if t.begun {
				continue
			}
			if o, ok := committed.Lookup(m.d.topic, p); ok && o.Err == nil && o.At >= 0 {
				t.begin(o.At, o.Metadata)
			} else {
				t.begin(m.group.Start.at(int(p)), "")
			}
		}
		m.mu.Unlock()
	}
	if fresh || renew {
		return m.commit(ctx)
	}
	return nil
}

// next returns what comes next in the partitions that the member has, and whether
// the first record of a turn is among it.
func (m *ordered) next(ctx context.Context, limit int) (ds []event.Delivered, first bool, err error) {
	t, err := m.d.stream(ctx)
	if err != nil {
		return nil, false, err
	}
	m.mu.Lock()
	from := map[int32]int64{}
	for p, turn := range m.turns {
		if turn.begun && len(turn.records) == 0 {
			from[p] = turn.next
		}
	}
	m.mu.Unlock()
	var got map[int32]part
	if len(from) > 0 {
		if got, err = m.d.fetch(ctx, m.d.conn.Client, t.name, from, partBytes, 0); err != nil {
			return nil, false, err
		}
	}
	for p, g := range got {
		if !g.outside {
			continue
		}
		starts, err := m.d.starts(ctx, t) // trimmed, or the topic was made again
		if err != nil {
			return nil, false, err
		}
		m.mu.Lock()
		if turn := m.turns[p]; turn != nil && turn.next == from[p] {
			turn.jump(starts.at(int(p)))
		}
		m.mu.Unlock()
		delete(got, p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, g := range got {
		if turn := m.turns[p]; turn != nil && turn.begun && turn.next == from[p] && len(turn.records) == 0 {
			turn.read(g)
		}
	}
	for len(ds) < limit {
		turn := earliestTurn(m.turns)
		if turn == nil {
			break
		}
		r := turn.records[0]
		first = first || turn.floor == turn.first && len(turn.handed) == 0
		attempt, wanted := turn.hand()
		if wanted {
			d := delivered(r, positionOf(len(t.leaders), r.Partition, r.Offset), 1, handed{turn, r.Offset})
			d.Attempt = attempt
			ds = append(ds, d)
		}
	}
	return ds, first, nil
}

// handed is the Tag of a delivery.
type handed struct {
	turn   *turn
	offset int64
}

func earliestTurn(turns map[int32]*turn) (best *turn) {
	for _, t := range turns {
		if len(t.records) == 0 {
			continue
		}
		if best == nil || t.records[0].Timestamp.Before(best.records[0].Timestamp) ||
			t.records[0].Timestamp.Equal(best.records[0].Timestamp) && t.p < best.p {
			best = t
		}
	}
	return best
}

// wait returns when there may be something to do.
func (m *ordered) wait(ctx context.Context) error {
	m.mu.Lock()
	changed, lost := m.changed, m.lost
	next := make(map[int32]int64, len(m.turns))
	for p, t := range m.turns {
		if !t.begun || len(t.records) > 0 {
			lost = true // go round
		}
		next[p] = t.next
	}
	left := time.Until(m.until) - m.session/2
	m.mu.Unlock()
	if lost {
		return nil
	}
	if len(next) == 0 { // another one's turn
		timer := time.NewTimer(lookAgain)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		return nil
	}
	return m.d.tail.wait(ctx, min(max(left, 10*time.Millisecond), lookAgain), changed, func(ends vector) bool {
		for p, n := range next {
			if ends.at(int(p)) != n {
				return true
			}
		}
		return false
	})
}

// commit tells Kafka where the turns are. That it accepts it shows that they are
// this member's.
func (m *ordered) commit(ctx context.Context) error {
	m.commits.Lock()
	defer m.commits.Unlock()
	t, err := m.d.stream(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = m.d.kafkaGroup(m.group)
	req.MemberID, req.Generation = m.client.GroupMetadata()
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID = t.name, t.id // not what kgo's member knows: the topic may have been made again
	m.mu.Lock()
	for p, turn := range m.turns {
		if turn.begun {
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			text := turn.text()
			rp.Partition, rp.Offset, rp.Metadata = p, turn.floor, &text
			rt.Partitions = append(rt.Partitions, rp)
		}
	}
	m.mu.Unlock()
	if len(rt.Partitions) == 0 {
		return nil
	}
	req.Topics = append(req.Topics, rt)
	sent := time.Now()
	resp, failed := req.RequestWith(ctx, m.d.conn.Client)
	if failed == nil {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if e := kafka.Code(p.ErrorCode); e != nil {
					failed = e
				}
			}
		}
	}
	if stale(failed) {
		m.d.forget(t.name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case failed == nil:
		m.until = sent.Add(m.session * 9 / 10)
	case errors.Is(failed, kerr.IllegalGeneration), errors.Is(failed, kerr.UnknownMemberID), errors.Is(failed, kerr.FencedInstanceID):
		// kgo learns of it with its next heartbeat, and joins again.
		for p, t := range m.turns {
			m.lost = m.lost || len(t.handed) > 0
			m.turns[p] = &turn{p: p}
		}
		m.until = time.Time{}
		return fault.Mark(fault.Unavailable, failed)
	}
	return kafka.WriteError(failed)
}

func (m *ordered) Ack(ctx context.Context, ds []event.Delivered) error {
	m.mu.Lock()
	moved := m.unsaid
	for _, d := range ds {
		tag := d.Tag.(handed)
		if m.turns[tag.turn.p] == tag.turn && tag.turn.ack(tag.offset) {
			moved = true
		}
	}
	m.mu.Unlock()
	if !moved {
		return nil
	}
	err := m.commit(ctx)
	m.mu.Lock()
	m.unsaid = err != nil
	m.mu.Unlock()
	return err
}

// Extend shows life. Something that was lost is said once.
func (m *ordered) Extend(ctx context.Context, _ []event.Delivered) error {
	err := m.commit(ctx)
	if m.takeLost() {
		return fault.Lost
	}
	return err
}

// Release gives nothing back by itself: Close, which follows, does.
func (m *ordered) Release(_ context.Context, ds []event.Delivered) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		d.Tag.(handed).turn.release(d.Tag.(handed).offset)
	}
	return nil
}

func (m *ordered) Lag(ctx context.Context) (event.Lag, error) {
	n, err := m.d.lag(ctx, m.group)
	m.mu.Lock()
	defer m.mu.Unlock()
	held := int64(0)
	for _, t := range m.turns {
		held += int64(len(t.handed)) - int64(len(t.acked))
	}
	return event.Lag{Pending: held, Behind: max(n-held, 0)}, err
}

// Close says where the turns ended, and leaves the group.
func (m *ordered) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	err := m.commit(ctx)
	if errors.Is(err, fault.Unavailable) {
		err = nil // at least once
	}
	if e := m.client.LeaveGroupContext(ctx); e != nil && !errors.Is(e, kerr.UnknownMemberID) && !errors.Is(e, errNoGroup) {
		err = fault.Join(err, kafka.WriteError(e))
	}
	m.client.Close()
	if errors.Is(m.d.deleted(ctx, m.group), fault.NotFound) {
		m.d.discard(ctx, m.group)
	}
	return err
}
