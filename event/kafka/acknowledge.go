package kafka

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What an acknowledgement says about a record.
const (
	gap     = 0 // there is none
	accept  = 1
	renewal = 4
)

// Ack accepts deliveries of the sessions that there are; what was handed out in an
// earlier one is no longer the member's.
func (m *shared) Ack(ctx context.Context, ds []event.Delivered) error {
	bySession := map[*session][]lent{}
	for _, d := range ds {
		tag := d.Tag.(lent)
		bySession[tag.s] = append(bySession[tag.s], tag)
	}
	var failed error
	for s, tags := range bySession {
		err := s.turn.Lock(ctx)
		if err == nil {
			err = s.acknowledge(ctx, tags, accept)
			s.turn.Unlock()
		}
		if err != nil {
			failed = err
		}
	}
	return failed
}

// Release gives back everything at once: it is only asked for at the end. The
// brokers count it as handed out.
func (m *shared) Release(ctx context.Context, _ []event.Delivered) error {
	return m.endSessions(ctx)
}

// renew starts again the locks of all that is held, at all brokers at once.
func (m *shared) renew(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range m.all() {
		wg.Go(func() { s.renew(ctx) })
	}
	wg.Wait()
}

func (s *session) renew(ctx context.Context) {
	if s.turn.Lock(ctx) != nil {
		return
	}
	defer s.turn.Unlock()
	s.mu.Lock()
	tags := make([]lent, 0, len(s.held))
	for at := range s.held {
		tags = append(tags, lent{s, s.life, at})
	}
	s.mu.Unlock()
	if len(tags) == 0 {
		return
	}
	if err := s.acknowledge(ctx, tags, renewal); err != nil && ctx.Err() == nil {
		s.m.d.log.Warn("event: renewing locks failed", "group", s.m.id, "records", len(tags), "error", err)
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
	slices.SortFunc(tags, func(a, b lent) int { return cmp.Or(cmp.Compare(a.p, b.p), cmp.Compare(a.offset, b.offset)) })
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
	req.IsRenewAck = what == renewal
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
	answer, err := s.send(ctx, req)
	if s.over(err) {
		if noSession(err) {
			return nil, nil // nothing is this member's any more
		}
		return nil, kafka.WriteError(err)
	}
	refused = map[int32]bool{}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			switch e := kafka.Code(p.ErrorCode); {
			case e == nil:
			case kafka.Is(e, kerr.InvalidRecordState):
				refused[p.Partition] = true
			default:
				err = e
			}
		}
	}
	return refused, kafka.WriteError(err)
}

// send sends a request for this member. s.turn is held.
func (s *session) send(ctx context.Context, req *kmsg.ShareAcknowledgeRequest) (*kmsg.ShareAcknowledgeResponse, error) {
	req.GroupID, req.MemberID = &s.m.id, &s.m.member
	answer, err := s.m.client.Broker(int(s.leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.ShareAcknowledgeResponse)
	return resp, kafka.Code(resp.ErrorCode)
}

// noSession reports whether the broker says that it does not have the session.
func noSession(err error) bool {
	return kafka.Is(err, kerr.ShareSessionNotFound, kerr.InvalidShareSessionEpoch)
}

// endSessions tells the brokers that the member holds nothing more.
func (m *shared) endSessions(ctx context.Context) (failed error) {
	for _, s := range m.all() {
		err := s.end(ctx)
		if err != nil {
			failed = err
		}
	}
	return failed
}

func (s *session) end(ctx context.Context) error {
	err := s.turn.Lock(ctx)
	if err != nil {
		return err
	}
	defer s.turn.Unlock()
	s.mu.Lock()
	open := s.epoch > 0
	s.mu.Unlock()
	if !open {
		return nil
	}
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.ShareSessionEpoch = -1
	_, err = s.send(ctx, req)
	s.reset()
	if noSession(err) {
		return nil
	}
	return kafka.WriteError(err)
}
