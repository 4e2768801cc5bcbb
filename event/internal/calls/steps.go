package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
)

// step is something that a user does.
type step struct {
	name  string
	do    func() error
	write bool  // who does it has to be told if it may have been done
	again error // of a step that was done, when it is done again
	finds bool  // it may be unavailable for a moment, until the driver has found something out
}

// user does all that a driver can.
type user struct {
	w     World
	ctx   context.Context
	first string // the position of the first record
	g, x  event.Member
	held  []event.Delivered
}

var (
	soon = time.UnixMilli(1000).UTC()
	far  = time.UnixMilli(1e13).UTC()
)

func record(id string) *event.Record {
	return &event.Record{ID: id, Type: "t", Time: time.Unix(1, 0), Data: []byte(id)}
}

func (u *user) steps() []step {
	shares := event.GroupConfig{Name: "g", Consumer: "c", Start: event.Beginning(), AckWait: 20 * time.Millisecond}
	alone := event.GroupConfig{Name: "x", Consumer: "c", Start: event.Beginning(), AckWait: time.Hour, Exclusive: true}
	other := alone
	other.Consumer = "d"
	d := u.w.Driver
	return []step{
		{name: "ping", do: func() error { return d.Ping(u.ctx) }},
		{name: "append one", write: true, do: u.append("1")},
		{name: "append several", write: true, do: u.append("2", "3")},
		{name: "read", do: u.read([]string{"1", "2", "3"}, event.ReadRequest{From: event.Beginning(), Max: 10})},
		{name: "read on", do: func() error {
			return u.read([]string{"2", "3"}, event.ReadRequest{From: event.After(u.first), Max: 10})()
		}},
		{name: "read backwards", do: func() error {
			list, _, err := u.all(event.ReadRequest{Reverse: true, Max: 1})
			got := ids(list)
			return check(err, len(got) == 1 && got[0] != "1", "%q are the last", got)
		}},
		{name: "look up", do: u.read([]string{"2"}, event.ReadRequest{From: event.Beginning(), Max: 5, Filter: event.Filter{ID: "2"}})},
		{name: "look up backwards", do: u.read([]string{"2"}, event.ReadRequest{Reverse: true, Max: 5, Filter: event.Filter{ID: "2"}})},
		{name: "read since", do: u.read(nil, event.ReadRequest{From: event.At(time.Now().Add(time.Hour)), Max: 5})},
		{name: "find the end", do: u.read(nil, event.ReadRequest{From: event.Now()})},
		{name: "behind", do: func() error {
			n, err := d.Behind(u.ctx, u.first)
			return check(err, n != 0, "nothing is behind the first record")
		}},
		{name: "wait", do: func() error { return d.Wait(u.ctx, u.first) }},

		{name: "join", do: u.join(&u.g, shares)},
		{name: "join again", do: u.join(&u.g, shares)},
		{name: "fetch", do: u.fetch(&u.g, 3)},
		{name: "extend", write: true, do: func() error { return u.g.Extend(u.ctx, u.held) }},
		{name: "release", write: true, do: func() error { return u.g.Release(u.ctx, u.held) }},
		{name: "fetch again", do: u.fetch(&u.g, 3)},
		{name: "lose the group", do: u.w.Lose},
		{name: "fetch from the group that is made again", finds: true, do: u.fetch(&u.g, 3)},
		{name: "ack", write: true, do: func() error { return u.g.Ack(u.ctx, u.held) }},
		{name: "leave", write: true, do: func() error { return u.g.Close(u.ctx) }},

		{name: "join alone", do: u.join(&u.x, alone)},
		{name: "fetch alone", do: u.fetch(&u.x, 3)},
		{name: "extend the turn", again: fault.Lost, do: func() error { return u.x.Extend(u.ctx, u.held) }},
		{name: "leave with all that was fetched", write: true, do: func() error { return u.x.Close(u.ctx) }},
		{name: "join as another", do: u.join(&u.x, other)},
		{name: "fetch as another", do: u.fetch(&u.x, 3)}, // which does not wait for AckWait
		{name: "ack alone", write: true, do: func() error { return u.x.Ack(u.ctx, u.held) }},
		{name: "lag", do: u.nothingIsLeft},
		{name: "groups", do: func() error {
			list, err := d.Groups(u.ctx)
			return check(err, len(list) == 2 && list[0].Name == "g" && list[1].Name == "x", "groups %+v", list)
		}},
		{name: "delete", write: true, again: fault.NotFound, do: func() error { return d.DeleteGroup(u.ctx, "x") }},
		{name: "fetch from the group that was deleted", do: func() error {
			_, err := u.x.Fetch(u.ctx, 1)
			if errors.Is(err, fault.NotFound) {
				return nil
			}
			return check(err, false, "a group that was deleted is there")
		}},
		{name: "leave the deleted", write: true, do: func() error { return u.x.Close(u.ctx) }},

		{name: "attend", write: true, do: func() error {
			list, err := d.Attend(u.ctx, "g", "c", time.Hour)
			return check(err, slices.Equal(list, []string{"c"}), "members %q", list)
		}},
		{name: "attend no more", write: true, do: func() error {
			list, err := d.Attend(u.ctx, "g", "c", 0)
			return check(err, len(list) == 0, "members %q", list)
		}},

		{name: "schedule", write: true, do: func() error {
			return d.Schedule(u.ctx, []event.Scheduled{{ID: "a", Due: soon, Record: record("4")}, {ID: "b", Due: soon, Recurrence: "hourly", Record: record("5")}, {ID: "c", Due: soon, Record: record("6")}})
		}},
		{name: "unschedule", write: true, again: fault.NotFound, do: func() error { return d.Unschedule(u.ctx, "c") }},
		{name: "scheduled", do: func() error {
			list, _, err := d.Scheduled(u.ctx, "", 10)
			return check(err, len(list) == 2, "%d are scheduled", len(list))
		}},
		{name: "fire", do: u.fire},
		{name: "trim nothing", write: true, do: func() error { _, err := d.Trim(u.ctx, event.Retention{Count: 100}); return err }},
		{name: "trim", write: true, do: func() error { _, err := d.Trim(u.ctx, event.Retention{Count: 3}); return err }},
		{name: "read on after what is gone", do: func() error {
			list, missed, err := u.all(event.ReadRequest{From: event.After(u.first), Max: 10})
			got := ids(list)
			known := missed > 0 || slices.Contains(got, "2") // a reader may have it already
			return check(err, known && slices.Contains(got, "4") && slices.Contains(got, "5"), "%q, missed %d", got, missed)
		}},
	}
}

// check is err, or if not ok one that says what.
func check(err error, ok bool, what string, args ...any) error {
	if err == nil && !ok {
		err = fmt.Errorf(what, args...)
	}
	return err
}

func (u *user) append(ids ...string) func() error {
	var rs []*event.Record
	for _, id := range ids {
		rs = append(rs, record(id))
	}
	return func() error {
		n, err := u.w.Append(u.ctx, rs)
		return check(err, n == len(rs), "%d of %d are appended", n, len(rs))
	}
}

func (u *user) read(want []string, q event.ReadRequest) func() error {
	return func() error {
		list, _, err := u.all(q)
		if err != nil {
			return err
		}
		if len(list) > 0 && u.first == "" {
			u.first = list[0].Position
		}
		got := slices.DeleteFunc(ids(list), func(id string) bool { return id == "1" && q.From.Kind == event.AfterPosition }) // it may be there twice
		slices.Sort(got)
		return check(nil, slices.Equal(got, want), "%q are read, want %q", got, want)
	}
}

// all reads pages of more than one record to the end.
func (u *user) all(q event.ReadRequest) (list []*event.Record, missed int64, err error) {
	for {
		page, err := u.w.Read(u.ctx, q)
		if err != nil {
			return nil, 0, err
		}
		missed += page.Missed
		for _, r := range page.Records {
			if q.Filter.ID == "" || r.ID == q.Filter.ID {
				list = append(list, r)
			}
		}
		if q.Max <= 1 || !page.More {
			return list, missed, nil
		}
		q.From = event.After(page.Next)
	}
}

func (u *user) join(m *event.Member, g event.GroupConfig) func() error {
	return func() (err error) { *m, err = u.w.Join(u.ctx, g); return err }
}

// fetch fetches until it has so many records. What an answer was lost of is due soon.
func (u *user) fetch(m *event.Member, n int) func() error {
	return func() error {
		u.held = nil
		for positions := map[string]bool{}; len(positions) < n; {
			ds, err := (*m).Fetch(u.ctx, 10)
			if errors.Is(err, fault.Lost) { // and has what it had in its next turn
				u.held = nil
				clear(positions)
				continue
			}
			if err != nil {
				return err
			}
			for _, d := range ds {
				positions[d.Position] = true
			}
			u.held = append(u.held, slices.Clone(ds)...)
		}
		return nil
	}
}

// nothingIsLeft asks until all is acknowledged: a server may take some time for it.
func (u *user) nothingIsLeft() error {
	for until := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		lag, err := u.x.Lag(u.ctx)
		if err != nil || lag == (event.Lag{}) || time.Now().After(until) {
			return check(err, lag == event.Lag{}, "%+v is left", lag)
		}
	}
}

// fire publishes until nothing is due.
func (u *user) fire() error {
	for {
		due, err := u.w.Due(u.ctx, 10)
		if err != nil {
			return err
		}
		if len(due.Entries) == 0 && due.Next.After(due.Now.Add(5*time.Second)) {
			return nil
		}
		var all []eventdriver.Firing
		for _, e := range due.Entries {
			f := eventdriver.Firing{ID: e.ID, Due: e.Due, Version: e.Version, Record: e.Record}
			if e.Recurrence != "" {
				f.Next = far
			}
			all = append(all, f)
		}
		if len(all) == 0 { // others are at it
			<-time.After(time.Millisecond)
			continue
		}
		_, err = u.w.Fire(u.ctx, all)
		if err != nil {
			return err
		}
	}
}
