package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/sim"
)

// simStream is the model: a list of records, and groups.
type simStream struct {
	mu      sync.Mutex
	records []*event.Record
	groups  map[string]*simGroup
}

type simGroup struct {
	entries []simEntry // of the records, by place
	holder  string     // of an exclusive group
	until   time.Time  // of the holder
	lost    map[string]bool
	last    map[string]simFetched // by consumer
}

type simEntry struct {
	owner   string // "": nobody has it
	until   time.Time
	attempt int
	done    bool
}

// simFetched is the last reply to a consumer, for a request that is repeated because
// its reply was lost.
type simFetched struct {
	number int
	places []simPlace
}

type simPlace struct{ At, Attempt int }

type simCall struct {
	Group, Consumer   string
	Exclusive, Fresh  bool
	Number, Max, From int
	Places            []simPlace
	Records           [][]byte
}

type simAnswer struct {
	Status  string
	Holder  bool // it is this member's turn
	Places  []simPlace
	Records [][]byte
	End     int
}

func (m *simStream) answer(op string, body []byte) any {
	var c simCall
	if err := json.Unmarshal(body, &c); err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch op {
	case "append":
		for _, b := range c.Records {
			r, err := eventdriver.ParseRecord(string(b))
			if err != nil {
				panic(err)
			}
			r.Position = strconv.Itoa(len(m.records) + 1)
			m.records = append(m.records, r)
		}
		return simAnswer{}
	case "read":
		from := min(max(c.From, 0), len(m.records))
		return m.encode(from, m.records[from:min(from+c.Max, len(m.records))])
	}
	g := m.groups[c.Group]
	if g == nil {
		g = &simGroup{lost: map[string]bool{}, last: map[string]simFetched{}}
		m.groups[c.Group] = g
	}
	for len(g.entries) < len(m.records) {
		g.entries = append(g.entries, simEntry{done: m.records[len(g.entries)].Type != "did"})
	}
	if g.lost[c.Consumer] && (op == "fetch" || op == "extend") {
		delete(g.lost, c.Consumer)
		return simAnswer{Status: "lost"}
	}
	if g.holder == c.Consumer {
		g.until = now.Add(simAckWait)
	}
	switch op {
	case "fetch":
		return m.fetch(g, c, now)
	case "leave":
		for i := range g.entries {
			if g.entries[i].owner == c.Consumer {
				g.entries[i].owner = ""
			}
		}
		if g.holder == c.Consumer {
			g.holder = ""
		}
	default:
		for _, p := range c.Places {
			switch e := &g.entries[p.At]; {
			case e.owner != c.Consumer || e.attempt != p.Attempt:
			case op == "ack":
				e.done, e.owner = true, ""
			case op == "extend":
				e.until = now.Add(simAckWait)
			case op == "release":
				e.owner = ""
				e.attempt--
			}
		}
	}
	return simAnswer{Holder: g.holder == c.Consumer}
}

// fetch hands out what nobody has, the first records first.
func (m *simStream) fetch(g *simGroup, c simCall, now time.Time) simAnswer {
	if last := g.last[c.Consumer]; c.Number <= last.number {
		if c.Number < last.number {
			return simAnswer{}
		}
		return m.hand(g, c.Consumer, last.places)
	}
	if c.Exclusive && g.holder != c.Consumer {
		if g.holder != "" && now.Before(g.until) {
			return simAnswer{}
		}
		if g.holder != "" {
			g.lost[g.holder] = true
		}
		g.holder, g.until, c.Fresh = c.Consumer, now.Add(simAckWait), true
		for i := range g.entries {
			g.entries[i].owner = ""
		}
	}
	places := []simPlace{}
	for i := range g.entries {
		e := &g.entries[i]
		if e.owner != "" && (!c.Exclusive && !now.Before(e.until) || c.Fresh && e.owner == c.Consumer) {
			e.owner = ""
		}
		if e.done || e.owner != "" || len(places) >= c.Max {
			continue
		}
		e.owner, e.until = c.Consumer, now.Add(simAckWait)
		e.attempt++
		places = append(places, simPlace{i, e.attempt})
	}
	g.last[c.Consumer] = simFetched{c.Number, places}
	return m.hand(g, c.Consumer, places)
}

// hand returns records that are still a consumer's.
func (m *simStream) hand(g *simGroup, consumer string, places []simPlace) simAnswer {
	a := simAnswer{Holder: g.holder == consumer}
	for _, p := range places {
		if e := g.entries[p.At]; e.owner == consumer && e.attempt == p.Attempt {
			a.Places = append(a.Places, p)
			a.Records = append(a.Records, eventdriver.AppendRecord(nil, m.records[p.At]))
		}
	}
	return a
}

func (m *simStream) encode(from int, records []*event.Record) simAnswer {
	a := simAnswer{End: from + len(records)}
	for _, r := range records {
		a.Records = append(a.Records, eventdriver.AppendRecord(nil, r))
	}
	return a
}

// holder is the member of an exclusive group whose turn it is.
func (m *simStream) holder(group string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := m.groups[group]; g != nil {
		return g.holder
	}
	return ""
}

// isDead reports whether there is a dead letter of a record.
func (m *simStream) isDead(group, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.records, func(r *event.Record) bool {
		return r.Type == "dead."+group && r.Metadata[event.DeadID] == id
	})
}

// isDone reports whether a record was acknowledged.
func (m *simStream) isDone(group, id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range m.groups[group].entries {
		if m.records[i].ID == id && m.records[i].Type == "did" {
			return e.done
		}
	}
	return false
}

// ids is the stream without dead letters.
func (m *simStream) ids() (ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.Type == "did" {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// simDriver asks the model.
type simDriver struct{ *sim.Client }

func (d *simDriver) call(ctx context.Context, op string, c simCall) (a simAnswer, err error) {
	err = d.Call(ctx, op, c, &a)
	switch {
	case err == nil && a.Status == "lost":
		return a, fault.Lost
	case err == nil:
		return a, nil
	case errors.Is(err, sim.ErrUnsent):
		return a, fault.Mark(event.ErrUnavailable, err)
	}
	return a, fault.Mark(event.ErrUnknownOutcome, err)
}

func (d *simDriver) Append(ctx context.Context, records []*event.Record) (int, error) {
	var c simCall
	for _, r := range records {
		c.Records = append(c.Records, eventdriver.AppendRecord(nil, r))
	}
	if _, err := d.call(ctx, "append", c); err != nil {
		return 0, err
	}
	return len(records), nil
}

func (d *simDriver) Read(ctx context.Context, q event.ReadRequest) (event.Page, error) {
	from := 0
	if q.From.Kind == event.AfterPosition {
		from, _ = strconv.Atoi(q.From.ID)
	}
	a, err := d.call(ctx, "read", simCall{From: from, Max: q.Max})
	page := event.Page{Next: strconv.Itoa(a.End)}
	for i, b := range a.Records {
		r, _ := eventdriver.ParseRecord(string(b))
		r.Position = strconv.Itoa(from + i + 1)
		if q.Filter.Types.Match(r.Type) {
			page.Records = append(page.Records, r)
		}
	}
	return page, err
}

func (d *simDriver) Wait(ctx context.Context, _ string) error {
	return backoff.Sleep(ctx, 200*time.Millisecond)
}

func (d *simDriver) Groups(context.Context) ([]event.GroupInfo, error) { return nil, nil }
func (d *simDriver) DeleteGroup(context.Context, string) error         { return event.ErrUnsupported }
func (d *simDriver) Ping(context.Context) error                        { return nil }
func (d *simDriver) Close(context.Context) error                       { return nil }

func (d *simDriver) Join(_ context.Context, c event.GroupConfig) (event.Member, error) {
	return &simPart{d: d, c: simCall{Group: c.Name, Consumer: c.Consumer, Exclusive: c.Exclusive}, fresh: true}, nil
}

// simPart is a member. An exclusive one knows by its own clock how long it may
// be the one.
type simPart struct {
	d *simDriver
	c simCall

	mu     sync.Mutex
	until  time.Time
	fresh  bool // a turn has not begun
	turn   int
	number int // of the last fetch
}

func (p *simPart) Holds() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds()
}

// holds ends the turn if it is over. Called with mu held.
func (p *simPart) holds() bool {
	if !p.c.Exclusive || !p.fresh && time.Now().Before(p.until) {
		return true
	}
	if !p.fresh {
		p.endTurn()
	}
	return false
}

// endTurn is called with mu held. A fetch that is repeated is another one then: the reply to the
// first does not hand out what the front has dropped.
func (p *simPart) endTurn() {
	p.fresh = true
	p.turn++
	p.number++
}

// ask calls, and knows afterwards how long the turn lasts, or that it is over.
func (p *simPart) ask(ctx context.Context, op string, c simCall) (simAnswer, error) {
	p.mu.Lock()
	sent, turn := time.Now(), p.turn
	p.mu.Unlock()
	c.Group, c.Consumer, c.Exclusive = p.c.Group, p.c.Consumer, p.c.Exclusive
	a, err := p.d.call(ctx, op, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.c.Exclusive:
	case turn != p.turn:
		return simAnswer{}, err
	case errors.Is(err, fault.Lost):
		p.endTurn()
	case err == nil && a.Holder && p.holds():
		p.until = sent.Add(simAckWait)
	}
	return a, err
}

func (p *simPart) Fetch(ctx context.Context, most int) ([]event.Delivered, error) {
	for again := false; ; again = true {
		p.mu.Lock()
		if !p.fresh && !p.holds() {
			p.mu.Unlock()
			return nil, fault.Lost
		}
		if !again {
			p.number++
		}
		sent, c, turn := time.Now(), simCall{Max: most, Fresh: p.fresh, Number: p.number}, p.turn
		p.mu.Unlock()
		within, cancel := context.WithTimeout(ctx, time.Second)
		a, err := p.ask(within, "fetch", c)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, fault.Lost):
			return nil, err
		case err != nil:
			if backoff.Sleep(ctx, 100*time.Millisecond) != nil {
				return nil, ctx.Err()
			}
			continue // the same request, whose reply may be lost
		}
		p.mu.Lock()
		mine := turn == p.turn
		if mine && p.fresh && len(a.Places) > 0 {
			p.fresh, p.until = false, sent.Add(simAckWait)
		}
		p.mu.Unlock()
		if mine && len(a.Places) > 0 {
			ds := make([]event.Delivered, len(a.Places))
			for i, at := range a.Places {
				ds[i] = event.Delivered{Encoded: string(a.Records[i]), Position: strconv.Itoa(at.At + 1), Attempt: at.Attempt, Tag: at}
			}
			return ds, nil
		}
		again = false
		p.mu.Lock()
		p.number++
		p.mu.Unlock()
		if backoff.Sleep(ctx, 150*time.Millisecond) != nil {
			return nil, ctx.Err()
		}
	}
}

func (p *simPart) about(ctx context.Context, op string, ds []event.Delivered) error {
	var c simCall
	for _, d := range ds {
		c.Places = append(c.Places, d.Tag.(simPlace))
	}
	_, err := p.ask(ctx, op, c)
	return err
}

func (p *simPart) Ack(ctx context.Context, ds []event.Delivered) error {
	return p.about(ctx, "ack", ds)
}
func (p *simPart) Extend(ctx context.Context, ds []event.Delivered) error {
	return p.about(ctx, "extend", ds)
}
func (p *simPart) Release(ctx context.Context, ds []event.Delivered) error {
	return p.about(ctx, "release", ds)
}
func (p *simPart) Close(ctx context.Context) error        { return p.about(ctx, "leave", nil) }
func (p *simPart) Lag(context.Context) (event.Lag, error) { return event.Lag{}, nil }

// simLive is a subscription without a group, on a host of its own.
type simLive struct {
	stream event.Stream
	client *sim.Client
	mu     sync.Mutex
	ids    []string
}

func (w *simEvents) follow() *simLive {
	l := &simLive{client: w.Net().Host("live").Client(w.Net().Host("server").Addr(80))}
	s, err := event.New(event.WithDriver("sim", func(context.Context, event.Settings) (event.Driver, error) { return &simDriver{l.client}, nil }),
		event.WithLazy(), event.WithTimeout(time.Second))
	if err != nil {
		panic(err)
	}
	l.stream = s
	for {
		_, err := s.Subscribe(w.Context(), func(_ context.Context, r *event.Record) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ids = append(l.ids, r.ID)
			return nil
		}, event.From(event.Beginning()))
		if err == nil {
			return l
		}
		w.Logf("live: %v", err)
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *simLive) records() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

func (l *simLive) close() {
	_ = l.stream.Close(context.Background())
	l.client.Close()
}
