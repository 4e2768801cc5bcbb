package nats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/nats-io/nats.go/jetstream"
)

// group is what the bucket has about a group, under its escaped name.
type group struct {
	Name  string   `json:"name"`
	Types []string `json:"types"`
	After uint64   `json:"after"` // where to begin when its consumer is missing
	Wait  int64    `json:"wait"`  // AckWait in ms

	// Stream is when the stream was made that After is of. One that somebody deleted
	// and that was made again begins with 1.
	Stream time.Time `json:"stream"`

	Gone bool `json:"gone,omitempty"` // it is being deleted

	revision uint64 // of the entry
}

func (d *driver) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	kv, err := d.groups(ctx)
	if err != nil {
		return nil, err
	}
	st, err := d.state(ctx)
	if err != nil {
		return nil, err
	}
	after, err := d.locate(ctx, g.Start, st)
	if err != nil {
		return nil, err
	}
	m := &member{d: d, kv: kv, g: g, key: groupKey(g.Name)}
	s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	value, _ := json.Marshal(group{Name: g.Name, Types: g.Types.List(), After: after, Wait: g.AckWait.Milliseconds(), Stream: s.CachedInfo().Created})
	for {
		_, err = kv.Create(ctx, "g."+m.key, value)
		if err != nil && !nats.Conflict(err) {
			return nil, nats.WriteError(err)
		}
		_, err = m.config(ctx)
		if !errors.Is(err, fault.NotFound) {
			break
		}
		err = d.DeleteGroup(ctx, g.Name) // somebody has begun to
		if err != nil && !errors.Is(err, fault.NotFound) {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	m.consumer, err = m.ensure(ctx)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// groupOf reads what the bucket has about a group.
func groupOf(ctx context.Context, kv jetstream.KeyValue, key string) (group, error) {
	e, err := entryOf(ctx, kv, "g."+key)
	if err != nil {
		return group{}, err
	}
	g := group{revision: e.Revision()}
	return g, json.Unmarshal(e.Value(), &g)
}

// config reads what the bucket has, and compares the types.
func (m *member) config(ctx context.Context) (group, error) {
	has, err := groupOf(ctx, m.kv, m.key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), err == nil && has.Gone:
		return has, fault.Markf(fault.NotFound, "group %q was deleted", m.g.Name)
	case err != nil:
		return has, nats.ReadError(err)
	}
	return has, m.g.CheckTypes(has.Types)
}

// note writes the entry again, unless somebody else has.
func (m *member) note(ctx context.Context, has *group) error {
	value, _ := json.Marshal(has)
	revision, err := m.kv.Update(ctx, "g."+m.key, value, has.revision)
	if nats.Conflict(err) {
		return fault.Markf(fault.Unavailable, "group %q was changed meanwhile: %w", m.g.Name, err)
	}
	has.revision = revision
	return nats.WriteError(err)
}

// ensure returns the group's consumer, making it if it isn't there.
func (m *member) ensure(ctx context.Context) (jetstream.Consumer, error) {
	s, err := m.d.stream(ctx)
	if err != nil {
		return nil, err
	}
	c, err := consumerOf(ctx, s, m.key)
	if errors.Is(m.d.lost(err), jetstream.ErrStreamNotFound) {
		s, err = m.d.stream(ctx)
		if err != nil {
			return nil, err
		}
		c, err = consumerOf(ctx, s, m.key)
	}
	if err == nil || !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return c, nats.ReadError(err)
	}
	has, err := m.config(ctx)
	if err != nil {
		return nil, err
	}
	return m.create(ctx, s, has)
}

// create makes the group's consumer where its entry says, or at the beginning of a
// stream that was made again since.
func (m *member) create(ctx context.Context, s jetstream.Stream, has group) (jetstream.Consumer, error) {
	info, err := infoOf(ctx, s)
	if err != nil {
		return nil, nats.ReadError(m.d.lost(err))
	}
	if !has.Stream.IsZero() && !has.Stream.Equal(info.Created) {
		has.After, has.Stream = 0, info.Created
		err := m.note(ctx, &has)
		if nats.Conflict(err) { // another member has noted it, or the group was deleted
			return m.ensure(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	c, err := makeConsumer(ctx, s, jetstream.ConsumerConfig{
		Durable: m.key, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: has.After + 1,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Duration(has.Wait) * time.Millisecond, MaxDeliver: -1, MaxAckPending: -1,
		FilterSubjects: m.d.filters(m.g.Types), // it is sent nothing else
	})
	if err != nil {
		return nil, nats.WriteError(err)
	}
	_, err = m.config(ctx)
	if errors.Is(err, fault.NotFound) { // deleted meanwhile: nobody would delete the consumer
		s.DeleteConsumer(ctx, m.key)
	}
	return c, err
}

func (d *driver) Groups(ctx context.Context) ([]event.GroupInfo, error) {
	kv, err := d.groups(ctx)
	if err != nil {
		return nil, err
	}
	s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	list, err := d.list(ctx, kv, s)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // somebody has deleted it
		s, err = d.stream(ctx)
		if err != nil {
			return nil, err
		}
		list, err = d.list(ctx, kv, s)
	}
	if err != nil {
		return nil, nats.ReadError(err)
	}
	slices.SortFunc(list, func(a, b event.GroupInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// list returns the groups that have a consumer of the stream, in any order.
func (d *driver) list(ctx context.Context, kv jetstream.KeyValue, s jetstream.Stream) ([]event.GroupInfo, error) {
	var list []event.GroupInfo
	err := d.consumers(ctx, s, func(i *jetstream.ConsumerInfo) error {
		g, err := groupOf(ctx, kv, i.Name)
		if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
			return nil // somebody else's
		}
		if err == nil {
			list = append(list, event.GroupInfo{Name: g.Name, Types: g.Types, Lag: event.Lag{Pending: int64(i.NumAckPending), Behind: int64(i.NumPending)}})
		}
		return err
	})
	return list, d.lost(err)
}

// DeleteGroup first notes in the entry that the group is gone, so that its members do not
// make the consumer again. The entry itself is last: what fails here can be done again.
func (d *driver) DeleteGroup(ctx context.Context, name string) error {
	kv, err := d.groups(ctx)
	if err != nil {
		return err
	}
	s, err := d.stream(ctx)
	if err != nil {
		return err
	}
	key := groupKey(name)
	var marked uint64
	for {
		has, err := groupOf(ctx, kv, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return fault.NotFound
		}
		if err != nil {
			return nats.ReadError(err)
		}
		has.Gone = true
		value, _ := json.Marshal(has)
		marked, err = kv.Update(ctx, "g."+key, value, has.revision)
		if err == nil {
			break
		}
		if !nats.Conflict(err) {
			return nats.WriteError(err)
		}
	}
	err = d.lost(s.DeleteConsumer(ctx, key))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) { // it went with the stream
		return nats.WriteError(err)
	}
	if err := kv.Delete(ctx, "l."+key); err != nil {
		return nats.WriteError(err)
	}
	err = kv.Delete(ctx, "g."+key, jetstream.LastRevision(marked))
	if nats.Conflict(err) { // another has deleted it too, and it may have been made again
		return nil
	}
	return nats.WriteError(err)
}

func (d *driver) Trim(ctx context.Context, keep event.Retention) (int64, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	st, err := d.state(ctx)
	if err != nil || st.Msgs == 0 {
		return 0, err
	}
	upto := uint64(0) // remove what is before
	if keep.Count > 0 && st.Msgs > uint64(keep.Count) {
		upto = st.LastSeq - uint64(keep.Count) + 1
	}
	if keep.Bytes > 0 && st.Bytes > uint64(keep.Bytes) { // records are taken as equal in size
		excess := uint64(float64(st.Bytes-uint64(keep.Bytes))/float64(st.Bytes)*float64(st.Msgs)) + 1
		upto = max(upto, st.FirstSeq+min(excess, st.Msgs-1))
	}
	if keep.Age > 0 {
		after, err := d.locate(ctx, event.At(time.Now().Add(-keep.Age)), st)
		if err != nil {
			return 0, err
		}
		upto = max(upto, after+1)
	}
	err = d.consumers(ctx, s, func(i *jetstream.ConsumerInfo) error {
		floor := i.AckFloor.Stream + 1
		if i.NumPending == 0 && i.NumAckPending == 0 {
			// It needs nothing of what its server had in the stream when its state
			// was read. Its floor may be far behind: it moves only with what is of
			// the group's types.
			if !nats.Clustered(s) {
				return nil
			}
			next, err := beyond(ctx, s, selects(i.Config), i.Delivered.Stream)
			if err != nil || next == 0 {
				return err
			}
			floor = next
		}
		upto = min(upto, floor)
		return nil
	})
	if err != nil {
		return 0, nats.ReadError(d.lost(err))
	}
	if upto <= st.FirstSeq {
		return 0, nil
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(upto)); err != nil {
		return 0, nats.WriteError(err)
	}
	return int64(upto - st.FirstSeq), nil
}

// selects returns the filters of a consumer, none for all.
func selects(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}
