package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// group is what the topic of the groups has about one. Its key is the name and an
// id: of several with one name, made at the same time, the first one counts.
type group struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Types   []string `json:"types,omitempty"`
	Ordered bool     `json:"ordered,omitempty"` // one member at a time works on a partition
	Classic bool     `json:"classic,omitempty"` // the brokers had no share groups
	Start   vector   `json:"start"`             // where it began

	offset int64
}

// kafkaGroup is the group's id in Kafka. A group that is deleted and made again is
// another one there.
func (d *driver) kafkaGroup(g *group) string {
	return d.topic + "/" + g.Name + "/" + g.ID[len(g.ID)-8:]
}

func (g *group) key() []byte { return []byte(g.Name + "\x00" + g.ID) }

// registry is what was read of the topic of the groups.
type registry struct {
	mu   mutex.Mutex
	next int64
	by   map[string]*group // by key
	read time.Time
}

// load reads on in the topic of the groups, if what is known is older than some
// time.
func (d *driver) load(ctx context.Context, older time.Duration) (map[string]*group, error) {
	r := &d.registry
	err := r.mu.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	if time.Since(r.read) < older {
		return r.live(), nil
	}
	t, err := d.known(ctx, d.groups)
	if err != nil {
		return nil, err
	}
	if len(t.leaders) != 1 {
		return nil, fault.Markf(fault.Invalid, "topic %s has %d partitions, want 1", d.groups, len(t.leaders))
	}
	for asked := time.Now(); ; {
		got, err := d.fetch(ctx, d.groups, map[int32]int64{0: r.next}, partBytes)
		if err != nil {
			return nil, err
		}
		g := got[0]
		if g.outside { // somebody made it again, or has removed its beginning
			starts, err := d.starts(ctx, t)
			if err != nil {
				return nil, err
			}
			if r.next != starts[0] {
				clear(r.by)
				r.next = starts[0]
				continue
			}
			return nil, errNoLeader
		}
		for _, m := range g.records {
			r.apply(m)
		}
		r.next = g.next
		if g.next >= g.end {
			r.read = asked
			return r.live(), nil
		}
	}
}

func (r *registry) apply(m *kgo.Record) {
	delete(r.by, string(m.Key))
	g := &group{offset: m.Offset}
	if len(m.Value) > 0 && json.Unmarshal(m.Value, g) == nil && len(g.ID) >= 8 {
		r.by[string(m.Key)] = g
	}
}

// live returns the groups by name.
func (r *registry) live() map[string]*group {
	groups := map[string]*group{}
	for _, g := range r.by {
		if has := groups[g.Name]; has == nil || g.offset < has.offset {
			groups[g.Name] = g
		}
	}
	return groups
}

// enter returns the group, and makes it if it isn't there.
func (d *driver) enter(ctx context.Context, g event.GroupConfig) (*group, error) {
	groups, err := d.load(ctx, 0)
	if err != nil {
		return nil, err
	}
	if groups[g.Name] == nil {
		t, err := d.stream(ctx)
		if err != nil {
			return nil, err
		}
		share, err := d.shares(ctx)
		if err != nil {
			return nil, err
		}
		made := &group{ID: event.NewID(), Name: g.Name, Types: g.Types.List(), Ordered: g.Exclusive, Classic: g.Exclusive || !share}
		made.Start, err = d.locate(ctx, t, g.Start)
		if err != nil {
			return nil, err
		}
		if err := d.note(ctx, made.key(), made); err != nil {
			return nil, err
		}
		groups, err = d.load(ctx, 0)
		if err != nil {
			return nil, err
		}
		has := groups[g.Name]
		if has == nil {
			return nil, fault.Markf(fault.Unavailable, "group %q was made and deleted", g.Name)
		}
		if has.ID != made.ID { // another was faster
			if err := d.note(ctx, made.key(), nil); err != nil {
				return nil, err
			}
		}
	}
	has := groups[g.Name]
	if err := g.CheckTypes(has.Types); err != nil {
		return nil, err
	}
	if has.Ordered != g.Exclusive {
		return nil, fault.Markf(fault.Conflict, "group %q: all of its members are ordered, or none; it was made with ordered %v", g.Name, has.Ordered)
	}
	return has, nil
}

// note writes about a group; nil deletes it.
func (d *driver) note(ctx context.Context, key []byte, g *group) error {
	var value []byte
	if g != nil {
		value, _ = json.Marshal(g)
	}
	_, err := d.write(ctx, d.groups, func(*topic) ([]*kgo.Record, error) {
		return []*kgo.Record{{Topic: d.groups, Key: key, Value: value}}, nil
	})
	return err
}

// deleted returns an error if the group is no longer there.
func (d *driver) deleted(ctx context.Context, g *group) error {
	groups, err := d.load(ctx, lookAgain)
	if err != nil {
		return err
	}
	if has := groups[g.Name]; has == nil || has.ID != g.ID {
		return fault.Markf(fault.NotFound, "group %q was deleted", g.Name)
	}
	return nil
}

// lookAgain is how often members look whether their group is still there.
const lookAgain = 5 * time.Second

func (d *driver) Groups(ctx context.Context) ([]event.GroupInfo, error) {
	groups, err := d.load(ctx, 0)
	if err != nil {
		return nil, err
	}
	list := make([]event.GroupInfo, 0, len(groups))
	for _, g := range groups {
		lag, err := d.lag(ctx, g)
		if err != nil {
			return nil, err
		}
		list = append(list, event.GroupInfo{Name: g.Name, Types: g.Types, Lag: event.Lag{Behind: lag}})
	}
	slices.SortFunc(list, func(a, b event.GroupInfo) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (d *driver) DeleteGroup(ctx context.Context, name string) error {
	if _, err := d.load(ctx, 0); err != nil {
		return err
	}
	err := d.registry.mu.Lock(ctx)
	if err != nil {
		return err
	}
	var gone []*group
	for _, g := range d.registry.by {
		if g.Name == name {
			gone = append(gone, g)
		}
	}
	d.registry.mu.Unlock()
	if len(gone) == 0 {
		return fault.NotFound
	}
	for _, g := range gone {
		if err := d.note(ctx, g.key(), nil); err != nil {
			return err
		}
		d.discard(ctx, g)
	}
	if _, err := d.load(ctx, 0); err != nil { // it is noted
		return fault.Mark(fault.UnknownOutcome, err)
	}
	return nil
}

// discard removes what Kafka has of a deleted group, unless it has members: the
// last of those does it when it leaves.
func (d *driver) discard(ctx context.Context, g *group) {
	if _, err := d.admin.DeleteGroup(ctx, d.kafkaGroup(g)); err != nil && !kafka.Is(err, kerr.NonEmptyGroup, kerr.GroupIDNotFound) {
		d.log.Warn("event: deleting what Kafka has of a group failed", "group", d.kafkaGroup(g), "error", err)
	}
}

// left is called when a member has left a group, which may have been deleted.
func (d *driver) left(ctx context.Context, g *group) {
	if errors.Is(d.deleted(ctx, g), fault.NotFound) {
		d.discard(ctx, g)
	}
}
