package consul

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	consulconn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// agent answers as a test says: a status and a body for each kind of request, in
// their order; the last one again and again.
type agent struct {
	create, renew, destroy, txn, read, status []string // "200 body"

	on func(what string) // is notified of each request

	mu   gosync.Mutex
	sent []string // the kinds of requests, a transaction with its verbs
	keys []string // that were read
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	kinds := map[string]*[]string{"session/create": &a.create, "session/renew": &a.renew, "session/destroy": &a.destroy, "txn": &a.txn, "kv": &a.read, "status": &a.status}
	for prefix, answers := range kinds {
		if !strings.HasPrefix(path, prefix) {
			continue
		}
		what := prefix[strings.Index(prefix, "/")+1:]
		if prefix == "txn" {
			what += fmt.Sprint(strings.Count(string(text), `"Verb"`))
		}
		a.sent = append(a.sent, what)
		if key, ok := strings.CutPrefix(path, "kv/"); ok {
			a.keys = append(a.keys, key)
		}
		if a.on != nil {
			a.on(strings.Join(a.sent, " "))
		}
		answer := "500 nothing"
		if len(*answers) > 0 {
			answer = (*answers)[0]
			if len(*answers) > 1 {
				*answers = (*answers)[1:]
			}
		}
		var status int
		_, _ = fmt.Sscan(answer, &status)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer[4:])
		return
	}
	w.WriteHeader(500)
}

// requests are those since the last call.
func (a *agent) requests() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	sent := strings.Join(a.sent, " ")
	a.sent = nil
	return sent
}

func (a *agent) driver(t *testing.T) *driver {
	t.Helper()
	server := httptest.NewServer(a)
	c, err := consulconn.Open(consulconn.Config{Address: server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{conn: c, options: options{minTTL: 10 * time.Second}, idle: map[time.Duration][]*session{}}
	t.Cleanup(func() { d.Close(); server.Close() })
	return d
}

const (
	created = `200 {"ID":"s1"}`
	yes     = "200 true"
	sorry   = "500 sorry"
	denied  = "403 Permission denied"
	leader  = "500 No cluster leader"
)

// pairs are results of a transaction, "key session index".
func pairs(all ...string) string {
	var out []string
	for _, p := range all {
		f := strings.Fields(p + " - -")
		out = append(out, fmt.Sprintf(`{"KV":{"Key":"k/queue/%s","Value":"%s","Session":"s1","CreateIndex":%s,"ModifyIndex":%[3]s}}`, f[0], f[1], f[2]))
	}
	return `200 {"Results":[` + strings.Join(out, ",") + `]}`
}

func refused(why string) string {
	return fmt.Sprintf(`409 {"Errors":[{"OpIndex":0,"What":%q}]}`, why)
}

// One is a claim with a limit of one, two one of two, in base64.
const (
	one = "MSBtZQ==" // "1 me"
	two = "MiBtZQ==" // "2 me"
)

var asked = dsync.Request{Key: "k", Owner: "me", Nonce: "n", TTL: 10 * time.Second, Limit: 1, Timeout: 10 * time.Second}

func TestAnswersToATry(t *testing.T) {
	alone, behind := pairs("n "+one+" 7", "n "+one+" 7"), pairs("n "+one+" 7", "n "+one+" 7", "m "+one+" 5")
	for _, c := range []struct {
		what   string
		a      *agent
		limit  int
		token  uint64
		err    error // nil: granted
		sent   string
		unsure bool // the front has to release
	}{
		{"free", &agent{txn: []string{alone, pairs("holder " + one + " 9")}}, 1, 9, nil, "kv create txn2 txn1", false},
		{"a permit", &agent{txn: []string{pairs("n "+two+" 7", "n "+two+" 7", "m "+two+" 5")}}, 2, 7, nil, "kv create txn2", false},
		{"no permit left", &agent{txn: []string{pairs("n "+two+" 7", "n "+two+" 7", "m "+two+" 5", "l "+two+" 4"), pairs()}}, 2, 0, fault.Held, "kv create txn2 txn2", false},
		{"behind another", &agent{txn: []string{behind, pairs()}}, 1, 0, fault.Held, "kv create txn2 txn2", false},
		{"behind another, and it stays", &agent{txn: []string{behind, sorry}}, 1, 0, fault.UnknownOutcome, "kv create txn2 txn2", false},
		{"behind another, and gone", &agent{txn: []string{behind, refused("gone")}}, 1, 0, fault.UnknownOutcome, "kv create txn2 txn2 destroy", false},
		{"held", &agent{read: []string{`200 [{"Key":"k/holder","Value":"` + one + `","Session":"x","ModifyIndex":3}]`}}, 1, 0, fault.Held, "kv", false},
		{"a key that nobody holds", &agent{read: []string{`200 [{"Key":"k/holder","Value":"` + one + `","ModifyIndex":3}]`},
			txn: []string{alone, pairs("holder " + one + " 9")}}, 1, 9, nil, "kv create txn2 txn1", false},
		{"no answer to the look", &agent{read: []string{leader}}, 1, 0, fault.Unavailable, "kv", false},
		{"another limit", &agent{txn: []string{pairs("n "+one+" 7", "n "+one+" 7", "m "+two+" 5"), pairs()}}, 1, 0, fault.Conflict, "kv create txn2 txn2", false},
		{"no session", &agent{create: []string{denied}}, 1, 0, fault.Denied, "kv create", false},
		{"a session that is over", &agent{txn: []string{refused("invalid session"), alone, pairs("holder " + one + " 9")}}, 1, 9, nil, "kv create txn2 create txn2 txn1", false},
		{"a place that is refused", &agent{txn: []string{refused("lock is already held")}}, 1, 0, fault.Lost, "kv create txn2", false},
		{"no rights for a place", &agent{txn: []string{denied}}, 1, 0, fault.Denied, "kv create txn2", false},
		{"no rights, as a transaction says it", &agent{txn: []string{refused("Permission denied: token lacks")}}, 1, 0, fault.Denied, "kv create txn2", false},
		{"no leader for a place", &agent{txn: []string{leader}}, 1, 0, fault.Unavailable, "kv create txn2", false},
		{"no answer about a place", &agent{txn: []string{sorry}}, 1, 0, fault.UnknownOutcome, "kv create txn2", true},
		{"a key that is not free yet", &agent{txn: []string{alone, refused("lock is held"), pairs()}}, 1, 0, fault.Held, "kv create txn2 txn1 txn2", false},
		{"a session that ends meanwhile", &agent{txn: []string{alone, refused("invalid session")}}, 1, 0, fault.Lost, "kv create txn2 txn1", false},
		{"no answer about the key", &agent{txn: []string{alone, sorry}}, 1, 0, fault.UnknownOutcome, "kv create txn2 txn1 destroy", false},
	} {
		a := c.a
		if a.create == nil {
			a.create = []string{created}
		}
		if a.read == nil {
			a.read = []string{"404 "}
		}
		a.destroy = []string{yes}
		d := a.driver(t)
		r := asked
		r.Limit = c.limit
		claim := d.Claim(r)
		g, err := claim.Acquire(t.Context(), false)
		if g.Token != c.token || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v, want %d, %v", c.what, g, err, c.token, c.err)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", c.what, sent, c.sent)
		}
		kept := c.err == fault.Held && strings.Contains(c.sent, "create") || errors.Is(err, fault.Conflict) ||
			c.sent == "kv create txn2" && (errors.Is(err, fault.Denied) || errors.Is(err, fault.Unavailable))
		if n := len(d.idle[r.TTL]); (n == 1) != kept {
			t.Errorf("%s: %d sessions are kept", c.what, n)
		}
		if c.unsure { // what may still arrive fails without its session
			if err := claim.Release(t.Context()); err != nil || a.requests() != "destroy" {
				t.Errorf("%s: release: %v", c.what, err)
			}
			a.mu.Lock()
			a.destroy = []string{leader}
			a.mu.Unlock()
			if err := claim.Release(t.Context()); !errors.Is(err, fault.Unavailable) {
				t.Errorf("%s: a release that is refused: %v", c.what, err)
			}
		}
	}
}

// What has asked for nothing has nothing to release.
func TestAReleaseBeforeATry(t *testing.T) {
	a := &agent{}
	if err := a.driver(t).Claim(asked).Release(t.Context()); err != nil || a.requests() != "" {
		t.Errorf("release: %v", err)
	}
}

// A permit is the place in the queue, a lock the key of the holder.
func TestWhichKeyARenewalReads(t *testing.T) {
	for limit, want := range map[int]string{1: "k/holder", 2: "k/queue/n"} {
		read := ""
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if key, ok := strings.CutPrefix(r.URL.Path, "/v1/kv/"); ok {
				read = key
				_, _ = io.WriteString(w, `[{"Session":"s1"}]`)
				return
			}
			_, _ = io.WriteString(w, `[{"ID":"s1"}]`)
		}))
		c, err := consulconn.Open(consulconn.Config{Address: server.Listener.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		d := &driver{conn: c}
		r := asked
		r.Limit = limit
		claim := d.Claim(r).(*claim)
		claim.session = &session{d: d, id: "s1", ttl: r.TTL}
		if _, err := claim.Renew(t.Context()); err != nil || read != want {
			t.Errorf("limit %d: read %q, %v, want %q", limit, read, err, want)
		}
		d.Close()
		server.Close()
	}
}

func TestAnswersToAHolder(t *testing.T) {
	for _, c := range []struct {
		what        string
		renew, read string
		renewed     error
		txn         string
		released    error
		destroyed   bool
	}{
		{"well", `200 [{"ID":"s1"}]`, `200 [{"Key":"k/holder","Session":"s1"}]`, nil, pairs(), nil, false},
		{"the session is gone", "404 ", "404 ", fault.Lost, refused("gone"), dsync.ErrLost, true},
		{"the key is gone", `200 [{"ID":"s1"}]`, "404 ", fault.Lost, refused("gone"), dsync.ErrLost, true},
		{"the key is another's", `200 [{"ID":"s1"}]`, `200 [{"Key":"k/holder","Session":"s2"}]`, fault.Lost, refused("gone"), dsync.ErrLost, true},
		{"no leader", leader, "404 ", fault.Unavailable, leader, fault.Unavailable, false},
		{"no leader for the key", `200 [{"ID":"s1"}]`, leader, fault.Unavailable, sorry, fault.UnknownOutcome, false},
		{"no rights", denied, "404 ", fault.Denied, denied, fault.Denied, false},
	} {
		a := &agent{create: []string{created}, read: []string{"404 "}, destroy: []string{yes}, renew: []string{c.renew},
			txn: []string{pairs("n "+one+" 7", "n "+one+" 7"), pairs("holder " + one + " 9"), c.txn}}
		d := a.driver(t)
		claim := d.Claim(asked)
		if _, err := claim.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		a.mu.Lock()
		a.read = []string{c.read}
		a.mu.Unlock()
		before := time.Now()
		until, err := claim.Renew(t.Context())
		if !errors.Is(err, c.renewed) || (err == nil) != (c.renewed == nil) || (err == nil) != until.After(before) {
			t.Errorf("%s: Renew = %v, %v, want %v", c.what, until, err, c.renewed)
		}
		a.requests()
		if err := claim.Release(t.Context()); !errors.Is(err, c.released) || (err == nil) != (c.released == nil) {
			t.Errorf("%s: Release = %v, want %v", c.what, err, c.released)
		}
		sent := a.requests()
		if strings.Contains(sent, "destroy") != c.destroyed || !strings.HasPrefix(sent, "txn4") {
			t.Errorf("%s: sent %s", c.what, sent)
		}
		if kept := len(d.idle[asked.TTL]); (kept == 1) != (c.released == nil) {
			t.Errorf("%s: %d sessions are kept", c.what, kept)
		}
	}
}

// A session is used again while half of its life is left, else renewed; one that
// is lost is replaced.
func TestSessionsAreUsedAgain(t *testing.T) {
	for _, c := range []struct {
		what string
		age  time.Duration
		a    *agent
		sent string
		err  error
	}{
		{"a young one", 0, &agent{}, "", nil},
		{"an old one", 6 * time.Second, &agent{renew: []string{`200 [{"ID":"s0"}]`}}, "renew", nil},
		{"one that is lost", 6 * time.Second, &agent{renew: []string{"404 "}, create: []string{created}}, "renew create", nil},
		{"no answer", 6 * time.Second, &agent{renew: []string{leader}}, "renew", fault.Unavailable},
		{"rights that were taken", 6 * time.Second, &agent{renew: []string{denied}}, "renew", fault.Denied},
	} {
		d := c.a.driver(t)
		d.keep(&session{d: d, id: "s0", ttl: 10 * time.Second, sent: time.Now().Add(-c.age)})
		s, err := d.session(t.Context(), 10*time.Second)
		if sent := c.a.requests(); sent != c.sent || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, %v after %s, want %s", c.what, s, err, sent, c.sent)
		}
		if err == nil && (s.id == "s1") != strings.Contains(c.sent, "create") {
			t.Errorf("%s: session %s", c.what, s.id)
		}
		if err == nil && time.Until(s.until()) < 5*time.Second {
			t.Errorf("%s: until %v", c.what, s.until())
		}
	}
}

func TestSessionsAreKeptUpToABound(t *testing.T) {
	a := &agent{destroy: []string{yes}}
	d := a.driver(t)
	for i := range maxIdle + 2 {
		d.keep(&session{d: d, id: fmt.Sprint(i), ttl: time.Minute})
		if sent := a.requests(); (sent == "destroy") != (i >= maxIdle) {
			t.Errorf("session %d: sent %q", i, sent)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(a.requests(), "destroy"); n != maxIdle {
		t.Errorf("Close ended %d sessions, want %d", n, maxIdle)
	}
	if _, err := d.session(t.Context(), time.Minute); !errors.Is(err, fault.Closed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

func TestTheQueueOfAKey(t *testing.T) {
	q := []*api.KVPair{{Key: "b", CreateIndex: 2}, {Key: "z", CreateIndex: 1}, {Key: "a", CreateIndex: 2}}
	sortQueue(q)
	var got []string
	for _, p := range q {
		got = append(got, p.Key)
	}
	if want := []string{"z", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("sorted as %v, want %v", got, want)
	}
	for limit, want := range map[int]string{1: "z", 2: "za", 3: "zab"} {
		first := ""
		for _, key := range got {
			c := &claim{Request: dsync.Request{Limit: limit}, place: key}
			if c.first(q) {
				first += key
			}
		}
		if first != want {
			t.Errorf("with a limit of %d %s may hold, want %s", limit, first, want)
		}
	}
	for value, want := range map[string]int{"1 me": 1, "12 me": 12, "me": 0, "": 0} {
		if limit, _ := parse(&api.KVPair{Value: []byte(value)}); limit != want {
			t.Errorf("%q has limit %d, want %d", value, limit, want)
		}
	}
	for key, want := range map[string]string{"a/b": "a/b/holder", "a/./b": "a/%2E/b/holder", "a/../b": "a/%2E%2E/b/holder", "a/.../b": "a/.../b/holder"} {
		if got := keysOf(key).holder; got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

func TestTheHolderThatConsulNames(t *testing.T) {
	for _, c := range []struct {
		read string
		want dsync.Candidate
		err  error
	}{
		{`200 [{"Key":"k/holder","Value":"` + one + `","Session":"x","ModifyIndex":3}]`, dsync.Candidate{Owner: "me", Token: 3}, nil},
		{`200 [{"Key":"k/holder","Value":"` + one + `","ModifyIndex":3}]`, dsync.Candidate{}, dsync.ErrNoLeader},
		{"404 ", dsync.Candidate{}, dsync.ErrNoLeader},
		{leader, dsync.Candidate{}, fault.Unavailable},
		{denied, dsync.Candidate{}, fault.Denied},
	} {
		d := (&agent{read: []string{c.read}}).driver(t)
		got, err := d.Holder(t.Context(), "k")
		if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.read, got, err, c.want, c.err)
		}
	}
}
