package kafka

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// session is what a member and a broker know about each other: which partitions
// are fetched, and which records are locked. Its requests have numbers, so one
// goes after the other. A broken connection ends it, and its locks.
type session struct {
	m      *shared
	leader int32

	turn sync.Mutex // of one request at a time

	mu    sync.Mutex
	epoch int32    // of the next request; 0 opens a session
	life  int      // counts sessions: what was handed out in an earlier one is not held
	topic [16]byte // of the session; one that is made again is another
	parts map[int32]bool
	held  map[place]bool
}

type place struct {
	p      int32
	offset int64
}

// lent is the Tag of a delivery.
type lent struct {
	s    *session
	life int
	place
}

// What an acknowledgement says about a record.
const (
	gap     = 0 // there is none
	accept  = 1
	release = 2
	renewal = 4
)

// The time that a fetch waits at the broker. Acknowledgements wait for it.
const (
	shortFetch = 100 * time.Millisecond // while something is held
	longFetch  = 250 * time.Millisecond
)

func (m *shared) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for len(m.ready) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.d.deleted(ctx, m.group); err != nil {
			return nil, err
		}
		t, err := m.d.stream(ctx)
		if err != nil {
			return nil, err
		}
		byLeader, err := m.leaders(ctx, t)
		if err != nil {
			return nil, err
		}
		if m.ready, err = m.ask(ctx, t, byLeader, limit); err != nil && len(m.ready) == 0 {
			return nil, err
		}
		if len(m.ready) > 0 {
			m.empty = 0
		} else {
			m.empty++
		}
	}
	n := min(limit, len(m.ready))
	ds := m.ready[:n:n]
	m.ready = m.ready[n:]
	return ds, nil
}

// leaders waits until something is assigned to the member, and returns it by
// broker.
func (m *shared) leaders(ctx context.Context, t *topic) (map[int32][]int32, error) {
	m.mu.Lock()
	assigned, changed, failed := m.assigned, m.changed, m.failed
	m.mu.Unlock()
	byLeader := map[int32][]int32{}
	for _, p := range assigned {
		if int(p) < len(t.leaders) && t.leaders[p] >= 0 {
			byLeader[t.leaders[p]] = append(byLeader[t.leaders[p]], p)
		}
	}
	if len(byLeader) == 0 {
		if failed != nil {
			return nil, failed
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(longFetch):
		}
	}
	return byLeader, nil
}

// ask fetches from all brokers at once.
func (m *shared) ask(ctx context.Context, t *topic, byLeader map[int32][]int32, limit int) ([]event.Delivered, error) {
	wait := longFetch
	if m.held() > 0 {
		wait = min(shortFetch*time.Duration(m.empty+1), longFetch)
	}
	var mu sync.Mutex
	var all []event.Delivered
	var failed error
	var wg sync.WaitGroup
	for leader, ps := range byLeader {
		wg.Go(func() {
			ds, err := m.session(leader).fetch(ctx, t, ps, limit, wait)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, ds...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return all, failed
}

func (m *shared) session(leader int32) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[leader]
	if s == nil {
		s = &session{m: m, leader: leader, parts: map[int32]bool{}, held: map[place]bool{}}
		m.sessions[leader] = s
	}
	return s
}

func (m *shared) all() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*session, 0, len(m.sessions))
	for _, s := range m.sessions {
		list = append(list, s)
	}
	return list
}

// held counts what the member has been handed and not acknowledged.
func (m *shared) held() (n int) {
	for _, s := range m.all() {
		s.mu.Lock()
		n += len(s.held)
		s.mu.Unlock()
	}
	return n
}

// reset ends the session, on a sign that the broker no longer has it.
func (s *session) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = 0
	s.life++
	clear(s.parts)
	clear(s.held)
}

// over takes an answer's error, and reports whether the session is over.
func (s *session) over(err error) bool {
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.epoch++; s.epoch == math.MaxInt32 {
			s.epoch = 1
		}
		return false
	}
	s.reset()
	return true
}

// fetch takes up to limit records. The request is not broken off at once when ctx
// ends: that would end the session, and hand to others what is being handled.
func (s *session) fetch(ctx context.Context, t *topic, ps []int32, limit int, wait time.Duration) ([]event.Delivered, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	other := s.topic != t.id
	s.topic = t.id
	s.mu.Unlock()
	if other {
		s.reset()
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(wait+time.Second, cancel) })()
	req := s.request(t, ps, limit, wait)
	answer, err := s.m.client.Broker(int(s.leader)).Request(asking, req)
	if err == nil {
		err = kafka.Code(answer.(*kmsg.ShareFetchResponse).ErrorCode)
	}
	if s.over(err) {
		if is(err, kerr.ShareSessionNotFound, kerr.InvalidShareSessionEpoch) {
			return nil, nil // and open another
		}
		s.m.d.forget(t.name)
		return nil, kafka.ReadError(err)
	}
	return s.take(asking, t, answer.(*kmsg.ShareFetchResponse))
}

func is(err error, any ...error) bool {
	return slices.ContainsFunc(any, func(target error) bool { return errors.Is(err, target) })
}

func (s *session) request(t *topic, ps []int32, limit int, wait time.Duration) *kmsg.ShareFetchRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &s.m.id, &s.m.member, s.epoch
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, fetchBytes
	req.MaxRecords, req.BatchSize, req.ShareAcquireMode = int32(limit), int32(limit), 1
	topic := kmsg.NewShareFetchRequestTopic()
	topic.TopicID = t.id
	for _, p := range ps {
		if s.parts[p] {
			continue
		}
		s.parts[p] = true
		part := kmsg.NewShareFetchRequestTopicPartition()
		part.Partition, part.PartitionMaxBytes = p, partBytes
		topic.Partitions = append(topic.Partitions, part)
	}
	if len(topic.Partitions) > 0 {
		req.Topics = append(req.Topics, topic)
	}
	forgotten := kmsg.NewShareFetchRequestForgottenTopicsData()
	forgotten.TopicID = t.id
	for p := range s.parts {
		if !slices.Contains(ps, p) {
			delete(s.parts, p)
			forgotten.Partitions = append(forgotten.Partitions, p)
		}
	}
	if len(forgotten.Partitions) > 0 {
		req.ForgottenTopicsData = append(req.ForgottenTopicsData, forgotten)
	}
	return req
}

// take makes deliveries of what a fetch has brought.
func (s *session) take(ctx context.Context, t *topic, resp *kmsg.ShareFetchResponse) (ds []event.Delivered, err error) {
	if lock := time.Duration(resp.AcquisitionLockTimeoutMillis) * time.Millisecond; lock > 0 {
		s.m.mu.Lock()
		s.m.lock = lock
		s.m.mu.Unlock()
	}
	var gaps []lent
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			rp := &resp.Topics[i].Partitions[j]
			if e := kafka.Code(rp.ErrorCode); e != nil {
				s.m.d.forget(t.name)
				select { // the assignment may be another
				case s.m.hurry <- struct{}{}:
				default:
				}
				err = kafka.ReadError(e)
			}
			if len(rp.AcquiredRecords) == 0 {
				continue
			}
			var missing []lent
			var e error
			if ds, missing, e = s.acquired(ds, t, rp); e != nil {
				err = e
			}
			gaps = append(gaps, missing...)
		}
	}
	if len(gaps) > 0 {
		s.acknowledge(ctx, gaps, gap)
	}
	return ds, err
}

func (s *session) acquired(ds []event.Delivered, t *topic, rp *kmsg.ShareFetchResponseTopicPartition) ([]event.Delivered, []lent, error) {
	fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: rp.AcquiredRecords[0].FirstOffset, Topic: t.name, Partition: rp.Partition,
	}, &kmsg.FetchResponseTopicPartition{Partition: rp.Partition, RecordBatches: rp.Records}, kgo.DefaultDecompressor(), nil)
	if fp.Err != nil && len(fp.Records) == 0 {
		return ds, nil, fp.Err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var gaps []lent
	rs := fp.Records
	for _, a := range rp.AcquiredRecords {
		for len(rs) > 0 && rs[0].Offset < a.FirstOffset {
			rs = rs[1:]
		}
		for offset := a.FirstOffset; offset <= a.LastOffset; offset++ {
			tag := lent{s, s.life, place{rp.Partition, offset}}
			if len(rs) == 0 || rs[0].Offset != offset {
				if fp.Err == nil { // else it may be there, and could not be read
					gaps = append(gaps, tag)
				}
				continue
			}
			s.held[tag.place] = true
			d := delivered(rs[0], positionOf(len(t.leaders), rp.Partition, offset), int(a.DeliveryCount), tag)
			if d.Err == nil && d.Attempt >= s.m.limit {
				d.Err = errLastDelivery
			}
			ds = append(ds, d)
			rs = rs[1:]
		}
	}
	return ds, gaps, fp.Err
}

func delivered(m *kgo.Record, position string, attempt int, tag any) event.Delivered {
	r, err := record(m, position)
	return event.Delivered{Record: r, Attempt: attempt, Err: err, Tag: tag, Position: position}
}

// errLastDelivery sends a record to the dead letters that the broker would drop if
// it were given back.
var errLastDelivery = fault.Markf(fault.Exhausted, "the brokers hand it out no more often")

func (m *shared) Ack(ctx context.Context, ds []event.Delivered) error {
	return m.settle(ctx, ds, accept)
}

// Release gives back everything at once: it is only asked for at the end. The
// brokers count it as handed out.
func (m *shared) Release(ctx context.Context, ds []event.Delivered) error {
	return m.endSessions(ctx)
}

// settle acknowledges deliveries of the sessions that there are; what was handed
// out in an earlier one is no longer the member's.
func (m *shared) settle(ctx context.Context, ds []event.Delivered, what int8) error {
	bySession := map[*session][]lent{}
	for _, d := range ds {
		tag := d.Tag.(lent)
		bySession[tag.s] = append(bySession[tag.s], tag)
	}
	var failed error
	for s, tags := range bySession {
		s.turn.Lock()
		err := s.acknowledge(ctx, tags, what)
		s.turn.Unlock()
		if err != nil {
			failed = err
		}
	}
	return failed
}

// renew starts again the locks of all that is held.
func (m *shared) renew(ctx context.Context) {
	for _, s := range m.all() {
		s.turn.Lock()
		s.mu.Lock()
		tags := make([]lent, 0, len(s.held))
		for at := range s.held {
			tags = append(tags, lent{s, s.life, at})
		}
		s.mu.Unlock()
		if len(tags) > 0 {
			if err := s.acknowledge(ctx, tags, renewal); err != nil && ctx.Err() == nil {
				m.d.log.Warn("event: renewing locks failed", "group", m.id, "records", len(tags), "error", err)
			}
		}
		s.turn.Unlock()
	}
}

// acknowledge sends what is said about records of this session. The brokers refuse
// all about a partition if one is no longer the member's, as after a long pause:
// then it is said of each half by itself. s.turn is held.
func (s *session) acknowledge(ctx context.Context, tags []lent, what int8) error {
	s.mu.Lock()
	tags = slices.DeleteFunc(tags, func(tag lent) bool { return tag.life != s.life })
	epoch := s.epoch
	s.mu.Unlock()
	if len(tags) == 0 || epoch == 0 {
		return nil
	}
	slices.SortFunc(tags, func(a, b lent) int {
		if a.p != b.p {
			return int(a.p - b.p)
		}
		return int(min(max(a.offset-b.offset, -1), 1))
	})
	t, err := s.m.d.stream(ctx)
	if err != nil {
		return err
	}
	refused, err := s.say(ctx, t, tags, what)
	if err != nil {
		return err
	}
	if what != renewal && what != gap {
		s.mu.Lock()
		for _, tag := range tags {
			delete(s.held, tag.place)
		}
		s.mu.Unlock()
	}
	for i := 0; i < len(tags); { // by partition
		j := i
		for j < len(tags) && tags[j].p == tags[i].p {
			j++
		}
		if refused[tags[i].p] {
			if j-i == 1 {
				s.mu.Lock()
				delete(s.held, tags[i].place)
				s.mu.Unlock()
			} else {
				half := (i + j) / 2
				if err := s.acknowledge(ctx, slices.Clone(tags[i:half]), what); err != nil {
					return err
				}
				if err := s.acknowledge(ctx, slices.Clone(tags[half:j]), what); err != nil {
					return err
				}
			}
		}
		i = j
	}
	return nil
}

// say sends one request, and returns the partitions that refused.
func (s *session) say(ctx context.Context, t *topic, tags []lent, what int8) (refused map[int32]bool, err error) {
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.GroupID, req.MemberID, req.IsRenewAck = &s.m.id, &s.m.member, what == renewal
	s.mu.Lock()
	req.ShareSessionEpoch = s.epoch
	s.mu.Unlock()
	topic := kmsg.NewShareAcknowledgeRequestTopic()
	topic.TopicID = t.id
	for i, tag := range tags {
		if i == 0 || tags[i-1].p != tag.p {
			part := kmsg.NewShareAcknowledgeRequestTopicPartition()
			part.Partition = tag.p
			topic.Partitions = append(topic.Partitions, part)
		}
		part := &topic.Partitions[len(topic.Partitions)-1]
		if n := len(part.AcknowledgementBatches); n > 0 && part.AcknowledgementBatches[n-1].LastOffset == tag.offset-1 {
			part.AcknowledgementBatches[n-1].LastOffset++
			continue
		}
		part.AcknowledgementBatches = append(part.AcknowledgementBatches, kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{
			FirstOffset: tag.offset, LastOffset: tag.offset, AcknowledgeTypes: []int8{what},
		})
	}
	req.Topics = append(req.Topics, topic)
	answer, err := s.m.client.Broker(int(s.leader)).Request(ctx, req)
	if err == nil {
		err = kafka.Code(answer.(*kmsg.ShareAcknowledgeResponse).ErrorCode)
	}
	if s.over(err) {
		if is(err, kerr.ShareSessionNotFound, kerr.InvalidShareSessionEpoch) {
			return nil, nil // nothing is this member's any more
		}
		return nil, kafka.WriteError(err)
	}
	refused = map[int32]bool{}
	for _, t := range answer.(*kmsg.ShareAcknowledgeResponse).Topics {
		for _, p := range t.Partitions {
			switch e := kafka.Code(p.ErrorCode); {
			case e == nil:
			case is(e, kerr.InvalidRecordState):
				refused[p.Partition] = true
			default:
				err = e
			}
		}
	}
	return refused, kafka.WriteError(err)
}

// endSessions tells the brokers that the member holds nothing more.
func (m *shared) endSessions(ctx context.Context) (failed error) {
	for _, s := range m.all() {
		s.turn.Lock()
		s.mu.Lock()
		open := s.epoch > 0
		s.mu.Unlock()
		if open {
			req := kmsg.NewPtrShareAcknowledgeRequest()
			req.GroupID, req.MemberID, req.ShareSessionEpoch = &m.id, &m.member, -1
			answer, err := m.client.Broker(int(s.leader)).Request(ctx, req)
			if err == nil {
				err = kafka.Code(answer.(*kmsg.ShareAcknowledgeResponse).ErrorCode)
			}
			s.reset()
			if err != nil && !is(err, kerr.ShareSessionNotFound, kerr.InvalidShareSessionEpoch) {
				failed = kafka.WriteError(err)
			}
		}
		s.turn.Unlock()
	}
	return failed
}
