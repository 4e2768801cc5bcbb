// Package calls shows what a driver of package event does when one of the calls that it
// makes of its backend fails, for each of them and each way to fail.
//
// A backend's test puts a double between its driver and the backend, which asks Calls
// before each call, and gives Run what opens such a driver. Run takes the steps of a user
// once as they are, and again for every call and every way. The step during which a call
// fails has to say so, it has to succeed when it is taken again, and in the end the same
// has to be stored.
package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
)

// Way is how a call fails.
type Way int

// The ways.
const (
	None    Way = iota // it does not
	Cut                // nothing was done, and nobody knows
	Lost               // it was done, and its answer got lost
	Refused            // the server says no
)

func (w Way) String() string { return [...]string{"fine", "cut", "lost", "refused"}[w] }

// effect is what a call does.
type effect int

const (
	reads effect = iota
	changes
	tries
)

// Calls are those of one driver.
type Calls struct {
	mu   sync.Mutex
	made []effect
	at   int // the one that fails, from 1; 0: none
	how  Way
	hit  string // the one that has failed
	does effect
}

// Read counts a call that changes nothing, and says what is to become of it.
func (c *Calls) Read(name string) Way { return c.next(name, reads) }

// Change counts a call that changes something.
func (c *Calls) Change(name string) Way { return c.next(name, changes) }

// Try counts a call without which the user gets what was asked for.
func (c *Calls) Try(name string) Way { return c.next(name, tries) }

func (c *Calls) next(name string, does effect) Way {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, does)
	if len(c.made) != c.at {
		return None
	}
	c.hit, c.does = name, does
	return c.how
}

// failed returns the call that has failed since it was asked last, or "".
func (c *Calls) failed() (name string, does effect) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, c.hit = c.hit, ""
	return name, c.does
}

// Driver is one with all abilities.
type Driver interface {
	event.Driver
	eventdriver.Behinder
	eventdriver.Trimmer
	eventdriver.Roster
	eventdriver.Scheduler
}

// World is a driver on a stream that is empty.
type World struct {
	Driver
	Lose   func() error  // removes the group g behind the driver's back
	Stored func() string // what there is besides records, whatever its positions and times
}

// patience is how long a step may take on a busy machine.
const patience = time.Minute

// some is how many runs one is made of under the race detector: what it finds it finds in a part,
// and without it all are made. It is prime, so that each way has its turn.
const some = 11

// Run checks a driver. In the end Stored has to be want.
func Run(t *testing.T, want string, open func(t *testing.T, c *Calls) World) {
	t.Helper()
	run(t, want, &Calls{}, open) // makes what is made once
	all := &Calls{}
	run(t, want, all, open)
	tried := 0
	for i, does := range all.made {
		ways := []Way{Cut}
		if does != reads {
			ways = []Way{Cut, Lost, Refused}
		}
		for _, how := range ways {
			tried++
			if !raceEnabled || tried%some == 0 {
				run(t, want, &Calls{at: i + 1, how: how}, open)
			}
		}
	}
	if len(all.made) < 50 {
		t.Errorf("%d calls, want more", len(all.made))
	}
}

func run(t *testing.T, want string, c *Calls, open func(t *testing.T, c *Calls) World) {
	t.Helper()
	w := open(t, c)
	u := &user{w: w}
	for _, step := range u.steps() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		u.ctx = ctx
		place := fmt.Sprintf("%s: call %d is %v", step.name, c.at, c.how)
		failed := false
		for again := true; again; {
			err := step.do()
			again = err != nil
			hit, does := c.failed()
			switch {
			case hit != "":
				failed = true
				place += ", a " + hit
				step.judge(t, place, c.how, does, err)
			case c.how == Lost && step.again != nil && errors.Is(err, step.again):
				again = false
			case step.finds && fault.KindOf(err) == fault.Unavailable && ctx.Err() == nil:
				<-time.After(5 * time.Millisecond)
			case err != nil:
				t.Fatalf("%s: then %v", place, err)
			}
		}
		cancel()
		if failed && c.how != Lost { // nothing was done, and it goes on as without it
			want = ""
			break
		}
	}
	if want != "" {
		got := w.Stored()
		if got != want {
			t.Errorf("call %d is %v: in the end there is\n%s, want\n%s", c.at, c.how, got, want)
		}
	}
	err := w.Driver.Close(context.Background())
	if err != nil {
		t.Errorf("call %d is %v: Close = %v", c.at, c.how, err)
	}
}

// judge looks at what a step says during which a call has failed.
func (s step) judge(t *testing.T, place string, how Way, does effect, err error) {
	t.Helper()
	kind := fault.KindOf(err)
	switch {
	case how == Refused: // or there was another way, and the step has found what it wants
	case err == nil && does == tries:
	case err == nil:
		t.Errorf("%s: success", place)
	case kind != fault.Unavailable && kind != fault.UnknownOutcome:
		t.Errorf("%s: %v", place, err)
	case s.write && does == changes && kind != fault.UnknownOutcome:
		t.Errorf("%s: %v, want an unknown outcome", place, err)
	}
}

// ids are those of records, each once.
func ids(rs []*event.Record) (list []string) {
	for _, r := range rs {
		if !slices.Contains(list, r.ID) {
			list = append(list, r.ID)
		}
	}
	return list
}
