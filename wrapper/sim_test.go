package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/sim"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// TestSimulated plays a client with a router, retries and hedges, and the four instances of
// a service that it calls, through faults. Each call is answered, with its own answer, or
// ends by its deadline; what is not idempotent is done at most once, also when the caller's own body breaks; the budgets hold; counts add up;
// and after the faults all instances are used again. Another service has no faults, but callers
// with deadlines that are too short: it never hears of those.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 80,
		Known: []sim.Case{{
			Name: "a call that its caller gave up before an instance was picked counted an attempt",
			Seed: 80,
		}},
		Mix: sim.Mix{
			Nodes: append([]string{"client"}, simInstances...), Max: 10, During: 6 * time.Second, Longest: 4 * time.Second,
			Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, sim.Crash, simSick},
		},
		Run: func(s *sim.Sim) { newSimCalls(s).run() },
	})
}

// simSick is an instance that answers Size, 500 or 503, at once.
const simSick sim.Kind = "sick"

var simInstances = []string{"s1", "s2", "s3", "s4"}

const (
	simSlack     = 20 * time.Millisecond // beyond a deadline
	simForgotten = 3 * time.Second       // after which the registry drops a dead instance
	simEnough    = 6400                  // calls after which each instance is used again: one of 400 asks one that took long, by chance
	calmTook     = 20 * time.Millisecond // at most, in the calm service
)

// simCalls is the world.
type simCalls struct {
	*sim.Sim
	d       discovery.Discovery
	router  router.Router
	metrics metrics.Metrics
	client  *wrapper.Wrapper
	web     *http.Client
	front   http.Handler // the client's own service, on whose behalf it calls the calm one
	retry   wrapper.RetryPolicy
	hedge   wrapper.HedgePolicy

	mu      sync.Mutex
	ending  sync.WaitGroup
	servers map[string]*simServer
	in      map[string]discovery.Registration
	sick    map[string]bool
	done    map[string][]string // by call: the instances that did it
	used    map[string]int      // by instance
	calls   map[string]int      // by service
	more    map[string]int      // by service: attempts after the first of a call
	seen    map[string]*simSeen // by call
}

type simServer struct {
	name   string
	server *http.Server
	served chan struct{}
	w      *wrapper.Wrapper
}

// simSeen is what the client's observer saw of a call.
type simSeen struct {
	service                   string
	begun, ended, sent, heard int
	end                       wrapper.Call
	classes                   []router.Class // of its attempts
}

func simMust[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newSimCalls(s *sim.Sim) *simCalls {
	w := &simCalls{
		Sim: s, servers: map[string]*simServer{}, in: map[string]discovery.Registration{}, sick: map[string]bool{},
		done: map[string][]string{}, used: map[string]int{}, calls: map[string]int{}, more: map[string]int{}, seen: map[string]*simSeen{},
	}
	dice := s.Dice("options")
	w.d = simMust(discovery.New())
	w.router = simMust(router.New(router.WithDiscovery(w.d), router.WithLogger(s.Logger("router"))))
	w.metrics = simMust(metrics.New())
	opts := []wrapper.Option{wrapper.WithName("client"), wrapper.WithRouter(w.router), wrapper.WithMetrics(w.metrics), wrapper.WithObserver(w)}
	w.retry = wrapper.RetryPolicy{Ratio: 0.2, PerSecond: 3}
	if dice.IntN(2) == 0 {
		w.retry = wrapper.RetryPolicy{Ratio: 0.05, PerSecond: 0.3}
	}
	opts = append(opts, wrapper.WithRetry(w.retry))
	switch dice.IntN(3) {
	case 0:
		w.hedge = wrapper.HedgePolicy{Quantile: 0.9, Ratio: 0.1}
		opts = append(opts, wrapper.WithHedge(w.hedge))
	case 1:
		opts = append(opts, wrapper.WithAttemptTimeout(300*time.Millisecond))
	}
	w.client = simMust(wrapper.New(opts...))
	host := s.Net().Host("client")
	w.web = &http.Client{Transport: w.client.Transport(&http.Transport{
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return host.DialContext(ctx, network, addr)
		},
	})}
	w.front = w.client.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.call(r.Context(), r.Header.Get("X-Id"), "GET", "calm", r.URL.RawQuery)
	}))
	s.Handle(sim.Kill, func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Kill) })
	s.Handle(sim.Crash, func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Crash) })
	s.Handle(simSick, func(f sim.Fault) (func(), error) {
		set := func(v bool) { w.mu.Lock(); w.sick[f.From] = v; w.mu.Unlock() }
		set(true)
		return func() { set(false) }, nil
	})
	return w
}

// restart ends an instance, which the registry notices later, and begins it again.
func (w *simCalls) restart(name string, die func()) (func(), error) {
	w.mu.Lock()
	p := w.servers[name]
	delete(w.servers, name)
	w.mu.Unlock()
	if p == nil {
		return nil, errors.New("it is down, or has no process to end")
	}
	die()
	w.stop(p)
	time.AfterFunc(simForgotten, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.servers[name] == nil && w.in[name] != nil {
			_ = w.in[name].Deregister(w.Context())
			delete(w.in, name)
		}
	})
	return func() { w.Net().Host(name).Boot(); w.begin(name, "svc") }, nil
}

func (w *simCalls) stop(p *simServer) {
	_ = p.server.Close()
	<-p.served
	w.ending.Go(func() { _ = p.w.Close(context.Background()) }) // which waits for its handlers
}

func (w *simCalls) begin(name, service string) {
	p := &simServer{name: name, served: make(chan struct{}), w: simMust(wrapper.New(wrapper.WithName(service)))}
	p.server = &http.Server{ErrorLog: quiet(), Handler: p.w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(name, rw, r) }))}
	host := w.Net().Host(name)
	l := simMust(host.Listen(80))
	go func() { defer close(p.served); _ = p.server.Serve(l) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[name] = p
	if w.in[name] == nil {
		w.in[name] = simMust(w.d.Register(w.Context(), discovery.Instance{Service: service, ID: name, Address: host.Addr(80)}))
	}
}

// serve does what a call asks for, and notes that it did.
func (w *simCalls) serve(name string, rw http.ResponseWriter, r *http.Request) {
	id, q := r.Header.Get("X-Id"), r.URL.Query()
	w.mu.Lock()
	sick := w.sick[name]
	w.done[id] = append(w.done[id], name)
	w.used[name]++
	w.mu.Unlock()
	w.Logf("%s: does %s, attempt %q", name, id, r.Header.Get(wrapper.HeaderAttempt))
	if sick {
		rw.WriteHeader(500 + 3*(len(id)%2))
		return
	}
	took, _ := time.ParseDuration(q.Get("took"))
	status, _ := strconv.Atoi(q.Get("status"))
	size, _ := strconv.Atoi(q.Get("size"))
	sent, err := io.ReadAll(r.Body)
	if err == nil && r.Method == "POST" && string(sent) != id {
		w.Failf("%s: %s came with the body %q", name, id, sent)
	}
	timer := time.NewTimer(took)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		if len(id)%2 == 0 {
			return // without a word
		}
	}
	rw.WriteHeader(status)
	answer := simAnswer(id, name, size)
	_, _ = io.WriteString(rw, answer[:size/2])
	if size > 1000 {
		_ = http.NewResponseController(rw).Flush()
		time.Sleep(5 * time.Millisecond)
	}
	_, _ = io.WriteString(rw, answer[size/2:])
}

// simAnswer is a body of some size, and the end by which it is known.
func simAnswer(id, name string, size int) string { return strings.Repeat("x", size) + id + "@" + name }

// call makes a call, and judges what comes of it.
func (w *simCalls) call(ctx context.Context, id, method, service, query string) bool {
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader(id)
		if len(id)%2 == 0 {
			body = io.MultiReader(body) // without GetBody
		}
		if strings.Contains(query, "broken") {
			body = io.MultiReader(strings.NewReader(id[:1]), iotest.ErrReader(kv.ErrUnavailable)) // which says nothing of the service
		}
	}
	start := time.Now()
	end, bounded := ctx.Deadline()
	if !bounded {
		end = start.Add(30 * time.Second) // for the headers
	}
	r := simMust(http.NewRequestWithContext(ctx, method, "http://"+service+"/do?"+query, body))
	r.Header.Set("X-Id", id)
	resp, err := w.web.Do(r)
	if late := time.Since(end); late > simSlack {
		w.Failf("%s ended %v after its deadline, which was %v: %v", id, late, end.Sub(start), err)
	}
	if err != nil {
		w.Logf("%s %s: %v", method, id, err)
		return false
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if late := time.Since(end); bounded && late > simSlack {
		w.Failf("the answer of %s ended %v after its deadline", id, late)
	}
	w.Logf("%s %s: %d, %d bytes, %v", method, id, resp.StatusCode, len(got), err)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	size, _ := strconv.Atoi(r.URL.Query().Get("size"))
	by := string(got[strings.LastIndexByte(string(got), '@')+1:])
	w.mu.Lock()
	defer w.mu.Unlock()
	if string(got) != simAnswer(id, by, size) {
		w.Failf("%s was answered %q", id, got)
	}
	if !slices.Contains(w.done[id], by) {
		w.Failf("%s says that it did %s, and did not", by, id)
	}
	return true
}

// work makes calls of all sorts.
func (w *simCalls) work(ctx context.Context, name string) {
	dice := w.Dice(name)
	for n := 0; ctx.Err() == nil; n++ {
		w.step(fmt.Sprint(name, "/", n), dice)
		time.Sleep(time.Duration(30+dice.IntN(250)) * time.Millisecond)
	}
}

func (w *simCalls) step(id string, dice *rand.Rand) {
	bound, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	if dice.IntN(4) == 0 {
		w.impatient(bound, id, dice)
		return
	}
	method := []string{"GET", "GET", "PUT", "POST", "POST"}[dice.IntN(5)]
	took := time.Duration(1+dice.IntN(20)) * time.Millisecond
	switch dice.IntN(20) {
	case 0:
		took = time.Duration(dice.IntN(3000)) * time.Millisecond
	case 1, 2:
		took *= 10
	}
	status, size := 200, 10
	if dice.IntN(8) == 0 {
		status = []int{500, 502, 503, 404, 429, 504}[dice.IntN(6)]
	}
	if dice.IntN(6) == 0 {
		size = 40_000
	}
	switch dice.IntN(8) {
	case 0:
		leave := time.AfterFunc(time.Duration(dice.IntN(30))*time.Millisecond, stop) // the caller is gone
		defer leave.Stop()
	case 1:
		if took < 300*time.Millisecond { // no deadline: the body of an answer may take as long as it likes
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			defer time.AfterFunc(40*time.Second, cancel).Stop()
			bound = ctx
		}
	}
	query := fmt.Sprintf("took=%v&status=%d&size=%d", took, status, size)
	if method == "POST" && dice.IntN(8) == 0 {
		query += "&broken"
	}
	w.call(bound, id, method, "svc", query)
}

// impatient calls the calm service with a deadline that is too short, of its own or its caller's,
// or a good one.
func (w *simCalls) impatient(ctx context.Context, id string, dice *rand.Rand) {
	query := fmt.Sprintf("took=%v&status=200&size=0", calmTook/2+time.Duration(dice.Int64N(int64(calmTook/2))))
	short := time.Duration(1+dice.IntN(9)) * time.Millisecond
	switch dice.IntN(3) {
	case 0:
		ctx, stop := context.WithTimeout(ctx, short)
		defer stop()
		w.call(ctx, id, "GET", "calm", query)
	case 1:
		r := httptest.NewRequestWithContext(ctx, "GET", "/?"+query, nil)
		r.Header.Set("X-Id", id)
		r.Header.Set(wrapper.HeaderDeadline, strconv.Itoa(int(short.Milliseconds())))
		w.front.ServeHTTP(httptest.NewRecorder(), r)
	default:
		if !w.call(ctx, id, "GET", "calm", query) && w.calm() {
			w.Failf("%s failed, which no fault can be the reason of", id)
		}
	}
}

// calm reports that no fault reaches the calm service.
func (w *simCalls) calm() bool {
	return !slices.ContainsFunc(w.Faults(), func(f sim.Fault) bool { return f.From == "client" && f.To == "" })
}

func (w *simCalls) run() {
	for _, name := range simInstances {
		w.begin(name, "svc")
	}
	w.begin("c1", "calm")
	w.begin("c2", "calm")
	for n := range 25 { // until it is known how long an answer takes
		w.call(w.Context(), fmt.Sprint("first/", n), "GET", "calm", fmt.Sprintf("took=%v&status=200&size=0", calmTook))
	}
	ctx, stop := context.WithCancel(w.Context())
	var working sync.WaitGroup
	for n := range 3 {
		working.Go(func() { w.work(ctx, fmt.Sprint("w", n)) })
	}
	w.Play()
	stop()
	working.Wait()
	w.Logf("all faults are over")
	w.recover()
	if err := w.d.Close(); err != nil {
		w.Failf("discovery: %v", err)
	}
	stats := map[string][]router.NodeStats{"svc": w.router.Stats("svc"), "calm": w.router.Stats("calm")}
	snapshot := w.metrics.Snapshot()
	if err := w.client.Close(context.Background()); err != nil {
		w.Failf("close: %v", err)
	}
	for _, p := range w.servers {
		w.stop(p)
	}
	w.ending.Wait()
	w.web.CloseIdleConnections()
	w.audit(stats, snapshot)
	time.Sleep(time.Minute) // whatever ends by itself has
}

// recover calls until all instances are used, and no call fails any more. The calls take so long that
// all instances are about equally good, however far away they are.
func (w *simCalls) recover() {
	w.mu.Lock()
	clear(w.used)
	w.mu.Unlock()
	n, good := 0, 0
	used := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := 0
		for _, name := range simInstances {
			n += min(w.used[name], 1)
		}
		return n
	}
	for ; n < simEnough && (good < 10 || used() < len(simInstances)); n++ {
		ctx, stop := context.WithTimeout(w.Context(), time.Second)
		if good++; !w.call(ctx, fmt.Sprint("again/", n), "GET", "svc", "took=50ms&status=200&size=0") {
			good = 0
		}
		stop()
		time.Sleep(50 * time.Millisecond)
	}
	if n == simEnough {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.Failf("after the last fault: of %d calls the last %d were answered, and these instances are used: %v", n, good, w.used)
	}
}

// audit checks what adds up.
func (w *simCalls) audit(stats map[string][]router.NodeStats, snapshot metrics.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(w.seen)) {
		s := w.seen[id]
		if s.begun != 1 || s.ended != 1 || s.sent != s.heard {
			w.Failf("%s began %d times and ended %d times, its attempts %d and %d", id, s.begun, s.ended, s.sent, s.heard)
		}
		if s.end.Attempts != s.sent {
			w.Failf("%s says %d attempts, and there were %d: %v", id, s.end.Attempts, s.sent, s.end.Err)
		}
		// net/http's transport repeats a GET by itself when a connection that was used before breaks
		// ahead of the answer, and returns the error of the last try.
		byTransport := s.end.Action == "GET"
		if n := len(w.done[id]); s.end.Action == "POST" && n > 1 || n > s.sent && !byTransport {
			w.Failf("%s %s was done by %q, and sent %d times", s.end.Action, id, w.done[id], s.sent)
		}
		if !slices.ContainsFunc(s.classes, func(c router.Class) bool { return c != router.Unsent }) && len(w.done[id]) > 0 && !byTransport {
			w.Failf("%s was certainly not sent, and done by %q", id, w.done[id])
		}
	}
	for service, all := range stats {
		for _, n := range all {
			outcomes := uint64(0)
			for _, o := range n.Outcomes {
				outcomes += o
			}
			if n.InFlight != 0 || n.Picks != outcomes {
				w.Failf("%s: %d picks, %d outcomes, %d in flight", n.ID, n.Picks, outcomes, n.InFlight)
			}
			if service == "calm" && w.calm() && (n.Outcomes[router.Timeout] > 0 || n.Ejections > 0 || n.Success < 1) {
				w.Failf("%s was called in too short a time, and the router blames it: %+v", n.ID, n)
			}
		}
	}
	counted := uint64(0)
	for _, f := range snapshot.Families {
		if f.Name == "http.client.request.duration" {
			for _, s := range f.Series {
				counted += s.Count
			}
		}
	}
	if counted != uint64(len(w.seen)) {
		w.Failf("there were %d calls, and the metrics count %d", len(w.seen), counted)
	}
}

func (w *simCalls) see(c *wrapper.Call, note func(*simSeen)) {
	if c.Side != wrapper.Client {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id := c.Header.Get("X-Id")
	if w.seen[id] == nil {
		w.seen[id] = &simSeen{service: c.Service}
	}
	note(w.seen[id])
}

// spend notes that one of the calls of a service is sent once more, which the budgets
// of retries and hedges must have room for at this very moment. Called with mu held.
func (w *simCalls) spend(service string) {
	w.more[service]++
	n, calls, t := w.more[service], w.calls[service], 1+w.Time().Seconds()
	most := w.retry.PerSecond*t + w.retry.Ratio*float64(calls)
	if w.hedge.Quantile > 0 {
		most += 0.1*t + w.hedge.Ratio*float64(calls+n)
	}
	if float64(n) > most {
		w.Failf("%d of %d calls of %s were sent again, and the budget is %.1f", n, calls, service, most)
	}
}

// Begin, End, BeginAttempt and EndAttempt make it an AttemptObserver.
func (w *simCalls) Begin(ctx context.Context, c *wrapper.Call) context.Context {
	w.see(c, func(s *simSeen) { s.begun++; w.calls[c.Service]++ })
	return ctx
}

func (w *simCalls) End(_ context.Context, c *wrapper.Call) {
	w.see(c, func(s *simSeen) { s.ended++; s.end.Attempts, s.end.Action, s.end.Err = c.Attempts, c.Action, c.Err })
}

func (w *simCalls) BeginAttempt(ctx context.Context, a *wrapper.Attempt) context.Context {
	w.see(a.Call, func(s *simSeen) {
		s.sent++
		if s.sent > 1 {
			w.spend(s.service)
		}
	})
	return ctx
}

func (w *simCalls) EndAttempt(_ context.Context, a *wrapper.Attempt) {
	w.see(a.Call, func(s *simSeen) { s.heard++; s.classes = append(s.classes, a.Class) })
}
