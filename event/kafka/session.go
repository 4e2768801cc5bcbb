package kafka

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/mutex"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// session is what a member and a broker know about each other: which partitions
// are fetched, and which records are locked. Its requests have numbers, so one
// goes after the other. A broken connection ends it, and its locks.
type session struct {
	m      *shared
	leader int32

	turn mutex.Mutex // of one request at a time

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
		m.ready, err = m.ask(ctx, t, byLeader, limit)
		if err != nil && len(m.ready) == 0 {
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
		m.mu.Lock()
		most := max(min(m.lock/10, longFetch), time.Millisecond) // a renewal waits for it
		m.mu.Unlock()
		wait = min(shortFetch*time.Duration(m.empty+1), most)
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
		s.epoch++
		if s.epoch == math.MaxInt32 {
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
	err := s.turn.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer s.turn.Unlock()
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
		if noSession(err) {
			return nil, nil // and open another
		}
		s.m.d.forget(t.name)
		return nil, kafka.ReadError(err)
	}
	return s.take(asking, t, answer.(*kmsg.ShareFetchResponse))
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
