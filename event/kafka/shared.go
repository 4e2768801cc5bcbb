package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shared is a member of a share group (KIP-932): the broker hands out records one
// by one, under a lock that ends by itself, and counts how often. kgo's own member
// of share groups accepts what it holds when it polls again; this one holds
// records as long as their handlers take.
//
// keep stays a member by heartbeats to the coordinator, and keepLocks renews the
// locks at the brokers that have the records; Fetch, Ack and Release speak to these
// too, in one session with each.
type shared struct {
	d      *driver
	group  *group
	id     string // of the group in Kafka
	member string
	limit  int         // how often the brokers hand a record out; after that they drop it
	client *kgo.Client // of its own: a session ends with its connection

	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	epoch    int32 // of the membership; 0: not a member
	assigned []int32
	changed  chan struct{} // closed when assigned did
	hurry    chan struct{} // asks for a heartbeat now
	failed   error         // why the last heartbeat was
	sessions map[int32]*session
	lock     time.Duration // that the brokers keep a record for a member
	relock   chan struct{} // says that lock is another

	ready []event.Delivered // fetched, and not returned yet; of Fetch alone
	empty int               // fetches in a row that brought nothing; of Fetch alone
}

const limitKey = "share.delivery.count.limit"

// The defaults of group.share.record.lock.duration.ms and
// group.share.delivery.count.limit.
const (
	usualLock  = 30 * time.Second
	usualLimit = 5
)

func (d *driver) joinShared(ctx context.Context, g event.GroupConfig, has *group) (event.Member, error) {
	id := d.kafkaGroup(has)
	if err := d.prepare(ctx, g, has, id); err != nil {
		return nil, err
	}
	limit, err := d.deliveryLimit(ctx, id)
	if err != nil {
		return nil, err
	}
	client, err := d.conn.More(kgo.ConnIdleTimeout(10 * time.Minute))
	if err != nil {
		return nil, err
	}
	var uuid [16]byte
	rand.Read(uuid[:])
	m := &shared{
		d: d, group: has, id: id, client: client, member: base64.RawURLEncoding.EncodeToString(uuid[:]),
		changed: make(chan struct{}), hurry: make(chan struct{}, 1), relock: make(chan struct{}, 1), sessions: map[int32]*session{}, lock: usualLock, limit: limit,
	}
	wait, err := m.beat(ctx)
	if err != nil {
		client.Close()
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.done.Go(func() { m.keep(life, wait) })
	m.done.Go(func() { m.keepLocks(life) })
	return m, nil
}

// prepare tells the brokers where a new group begins, and how long its locks last.
func (d *driver) prepare(ctx context.Context, g event.GroupConfig, has *group, id string) error {
	t, err := d.stream(ctx)
	if err != nil {
		return err
	}
	offsets, err := d.shareOffsets(ctx, has)
	if err != nil {
		return err
	}
	var begin kadm.Offsets
	for p := range t.leaders {
		if o, ok := offsets.Lookup(t.name, int32(p)); !ok || o.StartOffset < 0 {
			begin.AddOffset(t.name, int32(p), has.Start.at(p), -1)
		}
	}
	if len(begin) == 0 {
		return nil // somebody has done all this
	}
	if err := d.configure(ctx, g, id); err != nil {
		return err
	}
	err = again(ctx, func() error {
		answers, err := d.admin.AlterShareGroupOffsets(ctx, id, begin)
		if err == nil {
			err = answers.Error()
		}
		return err
	})
	if errors.Is(err, kerr.NonEmptyGroup) { // another member has begun where this one would
		return nil
	}
	return kafka.ReadError(err)
}

// configure says what the brokers are to do for a group.
func (d *driver) configure(ctx context.Context, g event.GroupConfig, id string) error {
	most := d.brokerConfig(ctx, "group.share.max.delivery.count.limit", "10")
	all := [][2]string{
		{"share.auto.offset.reset", "earliest"}, // a partition that is added later is read from its beginning
		{"share.isolation.level", "read_committed"}, {"share.assignment.interval.ms", "0"},
		{limitKey, most}, {"share.record.lock.duration.ms", milliseconds(g.AckWait)},
	}
	err := d.setGroup(ctx, id, all)
	if kafka.Is(err, kerr.InvalidConfig, kerr.InvalidRequest) { // something is outside of the brokers' bounds: their default stays
		for i, one := range all {
			err = d.setGroup(ctx, id, [][2]string{one})
			if i > 0 && kafka.Is(err, kerr.InvalidConfig, kerr.InvalidRequest) {
				err = nil
			}
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		return kafka.ReadError(err)
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end) && ctx.Err() == nil; { // brokers learn of it a moment later
		if n, err := d.deliveryLimit(ctx, id); err != nil || strconv.Itoa(n) == most {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	return nil
}

// beat sends a heartbeat, and returns when the next one is due.
func (m *shared) beat(ctx context.Context) (time.Duration, error) {
	m.mu.Lock()
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch = m.id, m.member, m.epoch
	if m.epoch == 0 {
		req.SubscribedTopicNames = []string{m.d.topic}
	}
	m.mu.Unlock()
	resp, err := req.RequestWith(ctx, m.client)
	if err == nil {
		err = kafka.Code(resp.ErrorCode)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = kafka.ReadError(err)
	if err != nil {
		if kafka.Is(err, kerr.UnknownMemberID, kerr.FencedMemberEpoch, kerr.GroupIDNotFound) {
			m.epoch = 0 // and join again, with the next one
		}
		return 200 * time.Millisecond, m.failed
	}
	m.epoch = resp.MemberEpoch
	if resp.Assignment != nil {
		var ps []int32
		for _, t := range resp.Assignment.TopicPartitions {
			ps = append(ps, t.Partitions...)
		}
		slices.Sort(ps)
		if !slices.Equal(ps, m.assigned) {
			m.assigned = ps
			close(m.changed)
			m.changed = make(chan struct{})
		}
	}
	wait := time.Duration(resp.HeartbeatIntervalMillis) * time.Millisecond
	if len(m.assigned) == 0 {
		wait = min(wait, 200*time.Millisecond)
	}
	return wait, nil
}

// keep sends heartbeats until the member leaves.
func (m *shared) keep(ctx context.Context, wait time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, time.Millisecond)):
		case <-m.hurry:
		}
		var err error
		wait, err = m.beat(ctx)
		if err != nil && ctx.Err() == nil {
			m.d.log.Warn("event: heartbeat failed", "group", m.id, "error", err)
		}
	}
}

// keepLocks renews locks until the member leaves. It does not wait for the
// coordinator, whose silence would cost the locks at other brokers.
func (m *shared) keepLocks(ctx context.Context) {
	for {
		m.mu.Lock()
		every := m.lock / 3
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-m.relock: // at once: what is held may be locked for less than every
		case <-time.After(max(every, time.Millisecond)):
		}
		m.renew(ctx)
	}
}

// locksLast notes how long the brokers say that locks last. A member does not know
// before the first fetch, and it can be changed for a group at any time.
func (m *shared) locksLast(lock time.Duration) {
	m.mu.Lock()
	other := m.lock != lock
	m.lock = lock
	m.mu.Unlock()
	if other {
		select {
		case m.relock <- struct{}{}:
		default:
		}
	}
}

func (m *shared) Lag(ctx context.Context) (event.Lag, error) {
	n, err := m.d.lag(ctx, m.group)
	held := int64(m.held())
	return event.Lag{Pending: held, Behind: max(n-held, 0)}, err
}

// Extend does nothing: keep shows life for all that is held.
func (m *shared) Extend(context.Context, []event.Delivered) error { return nil }

// Close ends the sessions, which gives back at once what is not acknowledged, and
// leaves the group.
func (m *shared) Close(ctx context.Context) error {
	m.stop()
	m.done.Wait()
	defer m.client.Close()
	err := m.endSessions(ctx)
	m.mu.Lock()
	epoch := m.epoch
	m.mu.Unlock()
	if epoch > 0 {
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.MemberEpoch = m.id, m.member, -1
		resp, e := req.RequestWith(ctx, m.client)
		if e == nil {
			e = kafka.Code(resp.ErrorCode)
			if kafka.Is(e, kerr.UnknownMemberID, kerr.GroupIDNotFound) {
				e = nil
			}
		}
		err = fault.Join(err, kafka.WriteError(e))
	}
	m.d.left(ctx, m.group)
	return err
}
