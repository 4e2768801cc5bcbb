package event_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
)

// interrupted is the memory driver with something that happens before the first Join
// of a group.
type interrupted struct {
	event.Driver
	eventdriver.Roster
	before func(group string)
}

func (d *interrupted) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	d.before(g.Name)
	return d.Driver.Join(ctx, g)
}

// Of two who make a group at the same time, divided and undivided, one gets it: that
// who was first. The other's call is ErrConflict and leaves nothing behind.
func TestAGroupIsNotMadeDividedAndUndividedAtOnce(t *testing.T) {
	whole := []event.SubscribeOption{event.Group("g"), event.Ordered(event.BySubject)}
	half := append(whole[:2:2], event.Partitions(2))
	thirds := append(whole[:2:2], event.Partitions(3))
	for name, c := range map[string]struct {
		first, second []event.SubscribeOption // second has looked when first subscribes
		at            string                  // the group that second is about to make
		want          error
		partitions    int
	}{
		"undivided first":   {whole, half, "g [1/2]", event.ErrConflict, 0},
		"divided first":     {half, whole, "g", event.ErrConflict, 2},
		"in other parts":    {thirds, half, "g [1/2]", event.ErrConflict, 3},
		"both divided":      {half, half, "g [1/2]", nil, 2},
		"neither one":       {whole, whole, "g", nil, 0},
		"another's divided": {append(half[1:3:3], event.Group("h")), whole, "g", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := event.NewMemory()
				d := &interrupted{Driver: memory, Roster: memory.(eventdriver.Roster)}
				s, err := event.New(event.WithDriver("interrupted", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				got := make(chan string, 10)
				subscribe := func(who string, opts []event.SubscribeOption) error {
					_, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { got <- who; return nil }, opts...)
					return err
				}
				d.before = func(group string) {
					if group == c.at {
						d.before = func(string) {}
						if err := subscribe("first", c.first); err != nil {
							t.Errorf("who was first: %v", err)
						}
					}
				}
				if err := subscribe("second", c.second); !errors.Is(err, c.want) {
					t.Errorf("who was second: %v, want %v", err, c.want)
				}
				groups, err := s.Groups(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				n := -1
				for _, g := range groups {
					if g.Name == "g" && n >= 0 {
						t.Errorf("the group is there twice: %+v", groups)
					} else if g.Name == "g" {
						n = g.Partitions
					}
				}
				if n != c.partitions {
					t.Errorf("the group has %d partitions, want %d", n, c.partitions)
				}
				if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: "s"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := 1
				if c.want == nil && c.partitions == 0 && len(groups) == 2 {
					want = 2 // both groups
				}
				if len(got) != want {
					t.Errorf("the record was handled %d times, want %d", len(got), want)
				}
			})
		})
	}
}
