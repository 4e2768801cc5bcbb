package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	dsync "github.com/micro/go-platform/sync"
)

// api answers each method as a test says, "200 body", one after the other, the last one
// again and again.
type api struct {
	get, post, put []string

	mu      gosync.Mutex
	sent    []string // methods
	last    string   // the body of the last PUT
	deleted int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text, _ := io.ReadAll(r.Body)
	answers := map[string]*[]string{http.MethodGet: &a.get, http.MethodPost: &a.post, http.MethodPut: &a.put}[r.Method]
	if answers == nil {
		a.deleted++
		_, _ = io.WriteString(w, "{}")
		return
	}
	a.sent = append(a.sent, r.Method)
	if r.Method == http.MethodPut {
		a.last = string(text)
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
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer[4:])
}

// requests are those since the last call.
func (a *api) requests() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	sent := strings.Join(a.sent, " ")
	a.sent = nil
	return sent
}

func (a *api) driver(t *testing.T) *driver {
	t.Helper()
	server := httptest.NewServer(a)
	c, err := kubernetes.Open(kubernetes.Config{Address: server.URL + "?namespace=n"})
	if err != nil {
		t.Fatal(err)
	}
	d := newDriver(c, true, map[string]string{"shared": "foreign", "zz": "foreign-zz"})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return d
}

const (
	nonce   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	mine    = "me_" + nonce
	missing = `404 {"reason":"NotFound","message":"none"}`
	exists  = `409 {"reason":"AlreadyExists","message":"there"}`
	stale   = `409 {"reason":"Conflict","message":"changed"}`
	denied  = `403 {"reason":"Forbidden","message":"cannot"}`
	broken  = `500 {"message":"broken"}`
)

// held is a Lease of a version with its holder, "" for nobody.
func held(version, holder string) string {
	return fmt.Sprintf(`200 {"metadata":{"name":"x","uid":"u","resourceVersion":"%s","annotations":{"a":"b"}},"spec":{"holderIdentity":%q,"leaseDurationSeconds":15,"leaseTransitions":4}}`, version, holder)
}

// bare is a Lease without annotations, renewed one that has been renewed.
var (
	bare    = `200 {"metadata":{"name":"x","uid":"u","resourceVersion":"5"},"spec":{}}`
	renewed = strings.Replace(held("6", mine), `"a":"b"`, `"a":"b","go-platform/token":"`+nonce+` 6"`, 1)
)

var asked = dsync.Request{Key: "sync/default/lock/x", Owner: "me", Nonce: nonce, TTL: 15 * time.Second, Limit: 1, Timeout: 10 * time.Second}

func TestAnswersToATry(t *testing.T) {
	free, got := held("5", ""), held("6", mine)
	for what, c := range map[string]struct {
		a     *api
		token uint64
		err   error
		sent  string
		doubt string
	}{
		"free":                 {&api{get: []string{free}, put: []string{got}}, 6, nil, "GET PUT", ""},
		"none there":           {&api{get: []string{missing}, post: []string{free}, put: []string{got}}, 6, nil, "GET POST PUT", ""},
		"made meanwhile":       {&api{get: []string{missing, free}, post: []string{exists}, put: []string{got}}, 6, nil, "GET POST GET PUT", ""},
		"comes and goes":       {&api{get: []string{missing}, post: []string{exists}}, 0, fault.Unavailable, "GET POST GET POST GET POST", ""},
		"held":                 {&api{get: []string{held("5", "other_"+strings.Repeat("Q", 26))}}, 0, fault.Held, "GET", ""},
		"granted before":       {&api{get: []string{got}, put: []string{held("7", mine)}}, 6, nil, "GET PUT", ""},
		"granted before, gone": {&api{get: []string{got}, put: []string{missing}}, 0, fault.Lost, "GET PUT", ""},
		"taken meanwhile":      {&api{get: []string{free, held("6", "other")}, put: []string{stale}}, 0, fault.Held, "GET PUT GET", ""},
		"changed meanwhile":    {&api{get: []string{free}, put: []string{stale, got}}, 6, nil, "GET PUT GET PUT", ""},
		"changed all the time": {&api{get: []string{free}, put: []string{stale}}, 0, fault.Held, strings.TrimSpace(strings.Repeat("GET PUT ", 11)), ""},
		"deleted meanwhile":    {&api{get: []string{free, missing}, post: []string{free}, put: []string{missing, got}}, 6, nil, "GET PUT GET POST PUT", ""},
		"no rights to get":     {&api{get: []string{denied}}, 0, fault.Denied, "GET", ""},
		"no answer to get":     {&api{get: []string{broken}}, 0, fault.Unavailable, "GET", ""},
		"no rights to make":    {&api{get: []string{missing}, post: []string{denied}}, 0, fault.Denied, "GET POST", ""},
		"no answer to make":    {&api{get: []string{missing}, post: []string{broken}}, 0, fault.Unavailable, "GET POST", ""},
		"no rights to take":    {&api{get: []string{free}, put: []string{denied}}, 0, fault.Denied, "GET PUT", ""},
		"no answer to take":    {&api{get: []string{free}, put: []string{broken}}, 0, fault.UnknownOutcome, "GET PUT", "5"},
		"a version of letters": {&api{get: []string{free}, put: []string{held("abc", mine)}}, 0, fault.Unsupported, "GET PUT", "5"},
		"the version 0":        {&api{get: []string{free}, put: []string{held("0", mine)}}, 0, fault.Unsupported, "GET PUT", "5"},
	} {
		d := c.a.driver(t)
		cl, start := d.Claim(asked).(*claim), time.Now()
		g, err := cl.Acquire(t.Context(), false)
		if g.Token != c.token || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || errors.Is(err, fault.UnknownOutcome) != (c.err == fault.UnknownOutcome) {
			t.Errorf("%s: %+v, %v, want %d, %v", what, g, err, c.token, c.err)
		}
		if err == nil && (g.Until.Before(start.Add(asked.TTL)) || g.Until.After(time.Now().Add(asked.TTL))) {
			t.Errorf("%s: until %v", what, g.Until)
		}
		if what == "held" && !strings.Contains(err.Error(), `owner "other", token 5`) {
			t.Errorf("%s: %v, want who holds it", what, err)
		}
		if sent := c.a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
		}
		if cl.doubt != c.doubt || cl.granted != (err == nil || what == "granted before, gone") {
			t.Errorf("%s: doubt %q, granted %v", what, cl.doubt, cl.granted)
		}
		if what == "free" && !strings.Contains(c.a.last, `"leaseTransitions":5`) {
			t.Errorf("%s: wrote %s", what, c.a.last)
		}
	}
}

func TestAnswersToARenewal(t *testing.T) {
	for what, c := range map[string]struct {
		get, put []string
		err      error
		says     string
		sent     string
	}{
		"well":                 {nil, []string{held("7", mine)}, nil, "", "PUT"},
		"deleted":              {nil, []string{missing}, dsync.ErrLost, "deleted", "PUT"},
		"no rights":            {nil, []string{denied}, fault.Denied, "", "PUT"},
		"no answer":            {nil, []string{broken}, fault.UnknownOutcome, "", "PUT"},
		"a label was written":  {[]string{held("7", mine)}, []string{stale, held("8", mine)}, nil, "", "PUT GET PUT"},
		"another holds":        {[]string{held("7", "other")}, []string{stale}, dsync.ErrLost, `"other" holds it`, "PUT GET"},
		"released by another":  {[]string{held("7", "")}, []string{stale}, dsync.ErrLost, "released", "PUT GET"},
		"deleted, and seen":    {[]string{missing}, []string{stale}, dsync.ErrLost, "deleted", "PUT GET"},
		"no answer to a look":  {[]string{broken}, []string{stale}, fault.Unavailable, "", "PUT GET"},
		"changed all the time": {[]string{held("7", mine)}, []string{stale}, fault.Unavailable, "changed all the time", "PUT GET PUT GET PUT GET"},
	} {
		a := &api{get: append([]string{held("5", "")}, c.get...), put: append([]string{held("6", mine)}, c.put...)}
		claim := a.driver(t).Claim(asked)
		if _, err := claim.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		a.requests()
		start := time.Now()
		until, err := claim.Renew(t.Context())
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		if err == nil && (until.Before(start.Add(asked.TTL)) || until.After(time.Now().Add(asked.TTL))) || err != nil && !until.IsZero() {
			t.Errorf("%s: until %v", what, until)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
		}
		if !strings.Contains(a.last, nonce+" 6") || !strings.Contains(a.last, `"a":"b"`) {
			t.Errorf("%s: wrote %s, want the token and what was there", what, a.last)
		}
	}
}

func TestAnswersToARelease(t *testing.T) {
	free, got, other := held("5", ""), held("6", mine), held("7", "other")
	for what, c := range map[string]struct {
		first   string // that is taken; free
		take    string // the answer to it
		get     []string
		put     []string
		watched bool
		err     error
		sent    string
		kept    bool // to be deleted in a moment
		again   error
		resent  string
	}{
		"held":                  {take: got, put: []string{held("7", "")}, sent: "PUT", kept: true},
		"after a renewal":       {take: renewed, put: []string{held("7", "")}, sent: "PUT", kept: true},
		"of an election":        {take: got, put: []string{held("7", "")}, watched: true, sent: "PUT"},
		"a label was written":   {take: got, get: []string{held("7", mine)}, put: []string{stale, held("8", "")}, sent: "PUT GET PUT", kept: true},
		"another holds":         {take: got, get: []string{other}, put: []string{stale}, err: dsync.ErrLost, sent: "PUT GET"},
		"released by another":   {take: got, get: []string{held("7", "")}, put: []string{stale}, err: dsync.ErrLost, sent: "PUT GET"},
		"deleted":               {take: got, get: []string{missing}, put: []string{missing}, err: dsync.ErrLost, sent: "PUT GET"},
		"no rights":             {take: got, get: []string{got}, put: []string{denied}, err: fault.Denied, sent: "PUT", again: fault.Denied, resent: "GET PUT"},
		"no answer, but done":   {take: got, get: []string{held("7", "")}, put: []string{broken}, err: fault.UnknownOutcome, sent: "PUT", resent: "GET"},
		"no answer, not done":   {take: got, get: []string{got}, put: []string{broken, held("7", "")}, err: fault.UnknownOutcome, sent: "PUT", kept: true, resent: "GET PUT"},
		"changed all the time":  {take: got, get: []string{got}, put: []string{stale}, err: fault.Unavailable, sent: "PUT GET PUT GET PUT GET PUT GET PUT", again: fault.Unavailable, resent: "GET PUT GET PUT GET PUT GET PUT GET PUT"},
		"no answer to a look":   {take: got, get: []string{broken}, put: []string{stale}, err: fault.Unavailable, sent: "PUT GET", again: fault.Unavailable, resent: "PUT GET"},
		"not taken":             {take: denied},
		"doubtful":              {take: broken, get: []string{free}, put: []string{held("8", "")}, sent: "GET PUT"},
		"doubtful, and bare":    {first: bare, take: broken, get: []string{bare}, put: []string{held("8", "")}, sent: "GET PUT"},
		"doubtful, and taken":   {take: broken, get: []string{got}, put: []string{held("8", "")}, sent: "GET PUT", kept: true},
		"doubtful, and another": {take: broken, get: []string{other}, sent: "GET"},
		"doubtful, and deleted": {take: broken, get: []string{missing}, sent: "GET"},
		"doubtful, and changed": {take: broken, get: []string{free, other}, put: []string{stale}, sent: "GET PUT GET"},
		"doubtful, and unsure":  {take: broken, get: []string{free}, put: []string{broken, held("8", "")}, err: fault.UnknownOutcome, sent: "GET PUT", resent: "GET PUT"},
		"doubtful, no look":     {take: broken, get: []string{broken, other}, err: fault.Unavailable, sent: "GET", resent: "GET"},
	} {
		a := &api{get: append([]string{cmp.Or(c.first, free)}, c.get...), put: append([]string{c.take}, c.put...)}
		d := a.driver(t)
		r := asked
		r.Watched = c.watched
		claim := d.Claim(r)
		_, _ = claim.Acquire(t.Context(), false)
		a.requests()
		if err := claim.Release(t.Context()); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		if sent := a.requests(); sent != c.sent {
			t.Errorf("%s: sent %s, want %s", what, sent, c.sent)
		}
		if strings.HasPrefix(what, "doubtful") && !c.kept && strings.HasSuffix(c.sent, "PUT") && !strings.Contains(a.last, spoiltKey) {
			t.Errorf("%s: wrote %s, want it spoilt", what, a.last)
		}
		if strings.HasSuffix(c.sent, "PUT") && c.first == "" && !strings.Contains(a.last, `"a":"b"`) || c.kept && c.err == nil && strings.Contains(a.last, tokenKey) {
			t.Errorf("%s: wrote %s, want what was there without the token", what, a.last)
		}
		if c.err != nil && !errors.Is(c.err, dsync.ErrLost) { // the front calls it again
			if err := claim.Release(t.Context()); !errors.Is(err, c.again) || (err == nil) != (c.again == nil) {
				t.Errorf("%s: again: %v, want %v", what, err, c.again)
			}
			if sent := a.requests(); sent != c.resent {
				t.Errorf("%s: sent again %s, want %s", what, sent, c.resent)
			}
		}
		if _, kept := d.idle.take("x"); kept != c.kept {
			t.Errorf("%s: kept to be deleted: %v", what, kept)
		}
	}
}

func TestTheHolderThatALeaseNames(t *testing.T) {
	for _, c := range []struct {
		get  string
		want dsync.Candidate
		err  error
	}{
		{held("6", mine), dsync.Candidate{Owner: "me", Token: 6}, nil},
		{held("6", "pod-1"), dsync.Candidate{Owner: "pod-1"}, nil},
		{strings.Replace(renewed, mine, "pod-1", 1), dsync.Candidate{Owner: "pod-1"}, nil}, // took over from us
		{held("6", ""), dsync.Candidate{}, dsync.ErrNoLeader},
		{missing, dsync.Candidate{}, dsync.ErrNoLeader},
		{denied, dsync.Candidate{}, fault.Denied},
		{broken, dsync.Candidate{}, fault.Unavailable},
	} {
		got, err := (&api{get: []string{c.get}}).driver(t).Holder(t.Context(), asked.Key)
		if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.get, got, err, c.want, c.err)
		}
	}
}

// For how long a holder is believed is counted from when its last word was seen here.
func TestHowLongAHolderIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := func(holder, renewed string, seconds int64) *lease {
			return &lease{Spec: spec{Holder: &holder, Renewed: &renewed, Seconds: &seconds}}
		}
		s := &sights{}
		for i, c := range []struct {
			sleep time.Duration
			l     *lease
			want  time.Duration
		}{
			{0, l("a", "1", 10), 10 * time.Second},
			{4 * time.Second, l("a", "1", 10), 6 * time.Second},
			{time.Second, l("a", "2", 10), 10 * time.Second},
			{10*time.Second - 1, l("a", "2", 10), 1},
			{1, l("a", "2", 10), 0},
			{time.Second, l("a", "2", 10), 0},
			{0, l("b", "2", 10), 10 * time.Second},
			{0, l("", "2", 10), 0},
			{5 * time.Second, l("b", "2", 10), 10 * time.Second}, // it was forgotten
			{0, nil, 0},
			{0, l("c", "1", 0), 15 * time.Second}, // says nothing
			{0, l("c", "1", -1), 15 * time.Second},
			{0, l("c", "1", 1), time.Second},
		} {
			time.Sleep(c.sleep)
			if got := s.left("x", c.l); got != c.want {
				t.Errorf("%d: %v, want %v", i, got, c.want)
			}
		}
		for i := range maxSights + 1 {
			s.left(fmt.Sprint(i), l("a", "1", 10))
		}
		if n := len(s.all); n != maxSights {
			t.Errorf("%d are remembered, want %d", n, maxSights)
		}
		last := fmt.Sprint(maxSights)
		s.left(last, l("a", "2", 10)) // is there, so none has to go
		if n := len(s.all); n != maxSights {
			t.Errorf("%d are remembered after a renewal, want %d", n, maxSights)
		}
	})
}

// Each update has a later time than the last one, as long as that is not far ahead.
func TestStampsAreLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		for ahead, want := range map[time.Duration]time.Duration{
			-time.Second: 0, 0: time.Microsecond, time.Second: time.Second + time.Microsecond,
			time.Minute - time.Microsecond: time.Minute, time.Minute: 0, time.Hour: 0,
		} {
			last := now.Add(ahead).Format(microTime)
			if got, want := *stamp(&last), now.Add(want).Format(microTime); got != want {
				t.Errorf("after %v: %s, want %s", ahead, got, want)
			}
		}
		odd := "tomorrow"
		for _, last := range []*string{nil, &odd} {
			if got, want := *stamp(last), now.Format(microTime); got != want {
				t.Errorf("after none: %s, want %s", got, want)
			}
		}
	})
}

// What a Lease says of its holder for a list.
func TestWhatALeaseHolds(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for what, c := range map[string]struct {
		spec, annotations string
		want              dsync.Hold
		ok                bool
	}{
		"held":          {`"holderIdentity":"` + mine + `","leaseDurationSeconds":10,"acquireTime":"2026-01-02T03:00:00.000000Z","renewTime":"2026-01-02T03:04:00.000000Z"`, `"go-platform/token":"` + nonce + ` 4"`, dsync.Hold{Owner: "me", Token: 4, Since: now.Add(-245 * time.Second), Until: now.Add(5 * time.Second)}, true},
		"just over":     {`"holderIdentity":"` + mine + `","leaseDurationSeconds":5,"renewTime":"2026-01-02T03:04:00.000000Z"`, "", dsync.Hold{}, false},
		"not renewed":   {`"holderIdentity":"` + mine + `","leaseDurationSeconds":5`, "", dsync.Hold{Owner: "me", Token: 6}, true},
		"another's":     {`"holderIdentity":"pod","leaseDurationSeconds":10,"renewTime":"2026-01-02T03:04:00.000000Z"`, "", dsync.Hold{Owner: "pod", Until: now.Add(5 * time.Second)}, true},
		"nobody's":      {`"leaseDurationSeconds":10`, "", dsync.Hold{}, false},
		"another token": {`"holderIdentity":"` + mine + `","leaseDurationSeconds":5`, `"go-platform/token":"` + strings.Repeat("Q", 26) + ` 4"`, dsync.Hold{Owner: "me", Token: 6}, true},
	} {
		var l lease
		if err := json.Unmarshal([]byte(`{"metadata":{"resourceVersion":"6","annotations":{`+c.annotations+`}},"spec":{`+c.spec+`}}`), &l); err != nil {
			t.Fatal(err)
		}
		if got, ok := l.hold(now); ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v, %v, want %+v, %v", what, got, ok, c.want, c.ok)
		}
	}
}

// List tells what lasts below a prefix, and elections of other programs.
func TestAnswersToAList(t *testing.T) {
	item := func(name, key, holder string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"resourceVersion":"6","annotations":{"go-platform/key":%q}},"spec":{"holderIdentity":%q}}`, name, key, holder)
	}
	all := `200 {"metadata":{"resourceVersion":"9"},"items":[` + strings.Join([]string{
		item("a", "sync/n/lock/a", mine), item("b", "sync/n/lock/b", ""), item("c", "sync/other/lock/c", mine), item("d", "sync/n/lock/d", "pod"),
	}, ",") + `]}`
	own := `200 {"metadata":{"resourceVersion":"9"},"items":[` + item("foreign", "sync/n/leader/shared", "boss") + `]}`
	once := 0
	err := (&api{get: []string{own, missing}}).driver(t).List(t.Context(), "sync/n/", func(string, dsync.Hold) bool { once++; return true })
	if err != nil || once != 1 {
		t.Errorf("an election that is listed already: %d times, %v", once, err)
	}
	a := &api{get: []string{own, missing}}
	_ = a.driver(t).List(t.Context(), "sync/n/", func(string, dsync.Hold) bool { return true })
	if sent := a.requests(); sent != "GET GET" {
		t.Errorf("sent %s, want the list and the other election", sent)
	}
	want := "sync/n/lock/a me, sync/n/lock/d pod, sync/n/leader/shared boss, sync/n/leader/zz boss"
	for what, c := range map[string]struct {
		get  []string
		most int
		want int
		err  error
	}{
		"all":                      {[]string{all, held("6", "boss")}, 10, 4, nil},
		"the first":                {[]string{all}, 1, 1, nil},
		"up to the election":       {[]string{all, held("6", "boss")}, 3, 3, nil},
		"an election without one":  {[]string{all, missing}, 10, 2, nil},
		"an outage":                {[]string{broken, missing}, 10, 0, fault.Unavailable},
		"no rights":                {[]string{denied, missing}, 10, 0, fault.Denied},
		"an outage of an election": {[]string{all, broken}, 10, 2, fault.Unavailable},
	} {
		var got []string
		err := (&api{get: c.get}).driver(t).List(t.Context(), "sync/n/", func(key string, h dsync.Hold) bool {
			got = append(got, key+" "+h.Owner)
			return len(got) < c.most
		})
		if strings.Join(got, ", ") != strings.Join(strings.Split(want, ", ")[:c.want], ", ") || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q, %v, want %d and %v", what, got, err, c.want, c.err)
		}
	}
}

// What was released is deleted a second later, unless somebody takes it, and at once
// when the driver is closed.
func TestReleasedLeasesAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu gosync.Mutex
		var names []string
		removed := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(names)
		}
		i := &idle{life: life.New()}
		i.remove = func(_ context.Context, l *lease) error {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, l.Name)
			return nil
		}
		kept := func() (n int, running bool) {
			i.mu.Lock()
			defer i.mu.Unlock()
			return len(i.all), i.running
		}
		put := func(name string) { l := &lease{}; l.Name = name; i.put(l) }
		put("a")
		put("b")
		if l, ok := i.take("b"); !ok || l.Name != "b" {
			t.Errorf("took %+v, %v", l, ok)
		}
		if _, ok := i.take("b"); ok {
			t.Error("b was taken twice")
		}
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if len(removed()) > 0 {
			t.Errorf("deleted %v too early", removed())
		}
		time.Sleep(idleFor / 2)
		synctest.Wait()
		if fmt.Sprint(removed()) != "[a]" {
			t.Errorf("deleted %v, want a", removed())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, running := kept(); running {
			t.Error("it runs on with nothing to do")
		}
		for n := range maxIdle + 1 {
			put(fmt.Sprint(n))
		}
		if n, _ := kept(); n != maxIdle {
			t.Errorf("%d are kept, want %d", n, maxIdle)
		}
		start := time.Now()
		i.life.Close(nil)
		if n := len(removed()); n != 1+maxIdle || time.Since(start) > 0 {
			t.Errorf("closing deleted %d in %v", n-1, time.Since(start))
		}
	})
}

func TestNamesOfLeases(t *testing.T) {
	for key, want := range map[string]string{
		"sync/default/lock/x": "sync-lock.default.x",
		"sync/n/leader/a-1":   "sync-leader.n.a-1",
		"sync/n/leader/a/b":   "sync-leader.n." + label("a/b"),
		"odd":                 "sync-key." + label("") + ".odd",
	} {
		if got := leaseName(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	for s, own := range map[string]bool{
		"a": true, "a-b": true, strings.Repeat("x", 63): true, strings.Repeat("x", 64): false, "-a": false, "a-": false, "A": false, "": false, "a.b": false,
		"sha256": true, "sha256-a": false,
	} {
		if got := label(s); (got == s) != own || !own && !strings.HasPrefix(got, hashed) {
			t.Errorf("%q is called %s", s, got)
		}
	}
	d := &driver{names: map[string]string{"shared": "foreign"}}
	for key, want := range map[string]string{
		"sync/n/leader/shared": "foreign", "sync/n/lock/shared": "sync-lock.n.shared", "sync/n/leader/own": "sync-leader.n.own",
	} {
		if got := d.nameOf(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	for identity, want := range map[string][2]string{
		mine: {"me", nonce}, "a_b_" + nonce: {"a_b", nonce}, "_" + nonce: {"", nonce}, "pod-1": {"pod-1", ""}, "me_" + nonce[:25]: {"me_" + nonce[:25], ""},
	} {
		if owner, got := split(identity); owner != want[0] || got != want[1] {
			t.Errorf("%s: %q, %q", identity, owner, got)
		}
	}
}

// Who was silent for too long is nobody's leader.
func TestADeadHolderIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := mine
		d, l := &driver{}, &lease{Spec: spec{Holder: &holder}}
		l.ResourceVersion = "6"
		for _, want := range []dsync.Candidate{{Owner: "me", Token: 6}, {}} {
			if got, left := d.candidate("x", l); got != want || (left > 0) != (want.Token > 0) {
				t.Errorf("%+v for %v, want %+v", got, left, want)
			}
			time.Sleep(15 * time.Second)
		}
	})
}

// Close deletes what was released here.
func TestCloseDeletesWhatWasReleased(t *testing.T) {
	a := &api{get: []string{held("5", "")}, put: []string{held("6", mine), held("7", "")}}
	d := a.driver(t)
	claim := d.Claim(asked)
	if _, err := claim.Acquire(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := claim.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil || a.deleted != 1 {
		t.Errorf("Close: %v, %d Leases were deleted, want 1", err, a.deleted)
	}
	if _, err := d.Holder(t.Context(), asked.Key); err == nil || errors.Is(err, dsync.ErrNoLeader) {
		t.Errorf("a connection of its own works after Close: %v", err)
	}
	given := (&api{get: []string{missing}}).driver(t)
	given.own = false
	if err := given.Close(); err != nil {
		t.Error(err)
	}
	if _, err := given.Holder(t.Context(), asked.Key); !errors.Is(err, dsync.ErrNoLeader) {
		t.Errorf("a connection that was given is closed: %v", err)
	}
	given.own = true
}

// A Lease that gets another version keeps the token of its holder, which was the old one.
func TestASpoiltLeaseKeepsItsToken(t *testing.T) {
	other := strings.Repeat("Q", 26)
	for holder, want := range map[string]string{"other_" + other: other + " 5", "pod-1": "", "": ""} {
		a := &api{put: []string{held("6", holder)}}
		cl := a.driver(t).Claim(asked).(*claim)
		l := &lease{Spec: spec{Holder: &holder}}
		l.Name, l.ResourceVersion = "x", "5"
		if err := cl.spoil(t.Context(), l); err != nil {
			t.Error(err)
		}
		if !strings.Contains(a.last, want) || strings.Contains(a.last, tokenKey) != (want != "") {
			t.Errorf("%q: wrote %s, want token %q", holder, a.last, want)
		}
	}
}

// What is no Lease is an error, not an empty one.
func TestWhatIsNoLease(t *testing.T) {
	for text, well := range map[string]bool{
		`{}`: true, `{"metadata":{},"spec":{}}`: true, `{"metadata":7}`: false, `{"spec":{"leaseDurationSeconds":"x"}}`: false, `[]`: false,
	} {
		var l lease
		if err := json.Unmarshal([]byte(text), &l); (err == nil) != well {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The end of a request's own time is an outage, that of the caller's is not.
func TestWhoseTimeIsOver(t *testing.T) {
	d := (&api{}).driver(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	odd := errors.New("odd")
	for what, c := range map[string]struct {
		ctx    context.Context
		err    error
		outage bool
	}{
		"none":             {t.Context(), nil, false},
		"the request's":    {t.Context(), context.DeadlineExceeded, true},
		"the caller's":     {over, context.DeadlineExceeded, false},
		"something else":   {t.Context(), odd, false},
		"a caller's leave": {over, context.Canceled, false},
	} {
		if err := d.unanswered(c.ctx, c.err); !errors.Is(err, c.err) || errors.Is(err, fault.Unavailable) != c.outage {
			t.Errorf("%s: %v", what, err)
		}
	}
}
