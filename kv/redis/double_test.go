package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// double answers in place of a server.
type double struct {
	mu    sync.Mutex
	items map[string]string
	sent  []string                      // the words of commands, in one
	fail  func(cmd goredis.Cmder) error // what is answered in place of it; nil: nothing is
	trips []trip                        // of pipelines
}

// trip is when a pipeline was sent, and until when it may take.
type trip struct{ began, until time.Time }

func (s *double) one(cmd goredis.Cmder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, cmd.Name())
	if s.fail != nil {
		err := s.fail(cmd)
		if err != nil {
			cmd.SetErr(err)
			return
		}
	}
	key, _ := cmd.Args()[1].(string)
	switch c := cmd.(type) {
	case *goredis.ScanCmd:
		var keys []string
		for k := range s.items {
			keys = append(keys, k, k) // SCAN may say a key twice
		}
		c.SetVal(keys, 0)
	case *goredis.StringCmd:
		v, ok := s.items[key]
		c.SetVal(v)
		if !ok {
			c.SetErr(goredis.Nil)
		}
	case *goredis.DurationCmd:
		c.SetVal(-1)
	case once:
		switch cmd.Name() {
		case "set":
			s.items[key] = string(cmd.Args()[2].([]byte))
			c.SetVal("OK")
		case "del":
			delete(s.items, key)
			c.SetVal(int64(1))
		case "eval", "evalsha":
			c.SetVal(int64(done))
		}
	}
}

func (s *double) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (s *double) ProcessHook(goredis.ProcessHook) goredis.ProcessHook {
	return func(_ context.Context, cmd goredis.Cmder) error { s.one(cmd); return cmd.Err() }
}

func (s *double) ProcessPipelineHook(goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		until, _ := ctx.Deadline()
		s.mu.Lock()
		s.trips = append(s.trips, trip{time.Now(), until})
		s.mu.Unlock()
		for _, cmd := range cmds {
			s.one(cmd)
		}
		return nil
	}
}

func (s *double) count(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, words := range s.sent {
		if words == name {
			n++
		}
	}
	return n
}

// onDouble makes a driver on a client of ours, or on one that was given.
func onDouble(t *testing.T, given bool) (*driver, *double) {
	t.Helper()
	c := redis.Config{Address: "127.0.0.1:1"} // it is never asked
	if given {
		own := goredis.NewClient(&goredis.Options{Addr: c.Address})
		t.Cleanup(func() { own.Close() })
		c.Client = own
	}
	client, err := redis.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &double{items: map[string]string{}}
	client.UniversalClient.AddHook(s)
	d := newDriver(client, false)
	t.Cleanup(func() { d.Close() })
	return d, s
}

// times fails so many commands of a name.
func times(n int, name string, err error) func(goredis.Cmder) error {
	return func(cmd goredis.Cmder) error {
		if cmd.Name() != name || n == 0 {
			return nil
		}
		n--
		return err
	}
}

// A read whose answer is lost is made again, once; a write never is, but for a script
// that the server does not know.
func TestWhatIsSentAgain(t *testing.T) {
	get := func(d *driver) error { _, err := d.Get(t.Context(), "k"); return err }
	put := func(d *driver) error {
		_, err := d.Put(t.Context(), kv.Write{Key: "k", Value: []byte("new")})
		return err
	}
	swap := func(d *driver) error {
		_, err := d.Put(t.Context(), kv.Write{Key: "k", Value: []byte("new"), IfRevision: 1})
		return err
	}
	unknown := answerOf("NOSCRIPT No matching script")
	for _, c := range []struct {
		name    string
		times   int
		failing string // a command
		err     error
		do      func(*driver) error
		command string
		sent    int
		want    error
	}{
		{"get", 0, "get", io.EOF, get, "get", 1, nil},
		{"get, lost", 1, "get", io.EOF, get, "get", 2, nil},
		{"get, lost twice", 2, "get", io.EOF, get, "get", 2, kv.ErrUnavailable},
		{"get, too late", 1, "get", timeout{io.EOF}, get, "get", 1, kv.ErrUnavailable},
		{"get, refused", 1, "get", answerOf("WRONGTYPE of another program"), get, "get", 1, kv.ErrInvalid},
		{"get, nothing", 1, "get", goredis.Nil, get, "get", 1, kv.ErrNotFound},
		{"put, lost", 1, "set", io.EOF, put, "set", 1, kv.ErrUnknownOutcome},
		{"put if, lost", 1, "evalsha", io.EOF, swap, "evalsha", 1, kv.ErrUnknownOutcome},
		{"put if, not known", 1, "evalsha", unknown, swap, "eval", 1, nil},
		{"put if, known", 0, "evalsha", unknown, swap, "eval", 0, nil},
	} {
		for _, way := range []struct{ alone, given bool }{{}, {alone: true}, {given: true}, {true, true}} {
			d, s := onDouble(t, way.given)
			d.alone = way.alone
			s.items["k"] = "old"
			s.fail = times(c.times, c.failing, c.err)
			err := c.do(d)
			if fault.KindOf(err) != fault.KindOf(c.want) || (err == nil) != (c.want == nil) || s.count(c.command) != c.sent {
				t.Errorf("%s, %+v: %v after %q, want %v and %d times %s", c.name, way, err, s.sent, c.want, c.sent, c.command)
			}
		}
	}
	if xxhash.Sum64(make([]byte, large)) != uint64(revision(make([]byte, large))) || xxhash.Sum64(make([]byte, large-1)) == uint64(revision(make([]byte, large-1))) {
		t.Error("large values alone have a quick hash: scripts make the other")
	}
}

// Lists and batches, of which a part fails, or whose caller leaves.
func TestPartsThatFail(t *testing.T) {
	list := func(d *driver, s *double) (string, error) {
		got := ""
		for item, err := range d.List(t.Context(), "", "") {
			if err != nil {
				return got, err
			}
			got += item.Key
		}
		return got, nil
	}
	ofKey := func(key string, err error) func(goredis.Cmder) error {
		return func(cmd goredis.Cmder) error {
			if cmd.Name() == "get" && cmd.Args()[1] == key {
				return err
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		fail func(goredis.Cmder) error
		want string
		err  error
	}{
		"nothing": {nil, "abc", nil}, "the keys": {times(1, "scan", io.EOF), "", kv.ErrUnavailable}, "an item": {ofKey("b", io.EOF), "", kv.ErrUnavailable},
		"another program's": {ofKey("b", answerOf("WRONGTYPE no string")), "ac", nil}, "gone meanwhile": {ofKey("b", goredis.Nil), "ac", nil},
	} {
		d, s := onDouble(t, false)
		s.items = map[string]string{"a": "1", "b": "2", "c": "3", "\xff": "another program's"}
		s.fail = c.fail
		if got, err := list(d, s); got != c.want || fault.KindOf(err) != fault.KindOf(c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s fails: listed %q, %v, want %q, %v", name, got, err, c.want, c.err)
		}
	}
	d, s := onDouble(t, false)
	s.items["a"] = "1"
	s.fail = ofKey("b", io.EOF)
	items, err := d.GetMany(t.Context(), []string{"a", "b", "none"})
	var bad *kv.BatchError
	if !errors.As(err, &bad) || len(bad.Errors) != 1 || bad.Errors["b"] == nil || len(items) != 1 {
		t.Errorf("GetMany: %v, %v", items, err)
	}
	over, cancel := context.WithCancel(t.Context())
	s.fail = func(goredis.Cmder) error { cancel(); return io.EOF }
	if items, err := d.GetMany(over, []string{"a", "b"}); items != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("GetMany whose caller left: %v, %v", items, err)
	}
	var writes []kv.Write
	for i := range perTrip + 2 {
		writes = append(writes, kv.Write{Key: fmt.Sprint(i), Value: []byte("v")})
	}
	over, cancel = context.WithCancel(t.Context())
	s.fail = func(cmd goredis.Cmder) error {
		if cmd.Args()[1] == "1" {
			cancel()
			return io.EOF
		}
		return nil
	}
	errs := d.PutMany(over, writes)
	unsent := errs[perTrip:]
	if errs[0] != nil || !errors.Is(errs[1], fault.UnknownOutcome) || !errors.Is(errs[1], context.Canceled) ||
		slices.ContainsFunc(unsent, func(err error) bool { return !errors.Is(err, context.Canceled) || errors.Is(err, fault.UnknownOutcome) }) {
		t.Errorf("PutMany whose caller left: %v, %v, and of the next trip %v", errs[0], errs[1], unsent)
	}
	if n := s.count("set"); n != perTrip {
		t.Errorf("%d writes were sent, want %d", n, perTrip)
	}
	if got, err := list(d, s); !strings.HasPrefix(got, "0") || err != nil {
		t.Errorf("then %q is listed, %v", got, err)
	}
}

// A batch may take longer than an answer: each of its trips has the client's timeout.
func TestEachTripOfABatchHasItsTime(t *testing.T) {
	for _, given := range []bool{false, true} {
		d, s := onDouble(t, given)
		var writes []kv.Write
		var keys []string
		for i := range 3 * perTrip {
			keys = append(keys, fmt.Sprint(i))
			writes = append(writes, kv.Write{Key: keys[i], Value: []byte("v")})
		}
		for what, call := range map[string]func() error{
			"PutMany": func() error { return errors.Join(d.PutMany(t.Context(), writes)...) },
			"GetMany": func() error { _, err := d.GetMany(t.Context(), keys); return err },
		} {
			s.trips = nil
			err := call()
			if err != nil || len(s.trips) != 3 {
				t.Fatalf("%s: %d trips, %v", what, len(s.trips), err)
			}
			for i, trip := range s.trips[1:] {
				if before := s.trips[i].began; trip.until.Before(before.Add(d.timeout)) {
					t.Errorf("%s, a client given: %v: trip %d ends %v after the one before began, want %v and more", what, given, i+1, trip.until.Sub(before), d.timeout)
				}
			}
		}
	}
}

// An answer that has come counts, also if its caller has left at that moment.
func TestAnswersAtTheEndOfTheirCaller(t *testing.T) {
	for name, c := range map[string]struct {
		err, want error
		put       bool
	}{
		"an answer":     {answerOf("WRONGTYPE of another program"), kv.ErrInvalid, false},
		"no answer":     {context.Canceled, context.Canceled, false},
		"a write's":     {answerOf("NOPERM"), kv.ErrDenied, true},
		"none, a write": {context.Canceled, kv.ErrUnknownOutcome, true},
	} {
		for _, given := range []bool{false, true} {
			d, s := onDouble(t, given)
			d.alone = true
			ctx, cancel := context.WithCancel(t.Context())
			s.fail = func(goredis.Cmder) error {
				if !given { // the client that was given is waited for until the end of ctx
					cancel()
				}
				return c.err
			}
			var err error
			if c.put {
				_, err = d.Put(ctx, kv.Write{Key: "k"})
			} else {
				_, err = d.Get(ctx, "k")
			}
			cancel()
			if fault.KindOf(err) != fault.KindOf(c.want) {
				t.Errorf("%s, client given: %v: %v, want %v", name, given, err, c.want)
			}
		}
	}
}

type toldOf []string

func (s *toldOf) Put(item kv.Item)  { *s = append(*s, "+"+item.Key) }
func (s *toldOf) Delete(key string) { *s = append(*s, "-"+key) }
func (s *toldOf) Synced(uint64)     {}

// A key whose value can't be read is not told as deleted; another program's is.
func TestKeysThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
		fail error
	}{
		"all is read": {nil, "+a +b -none", nil}, "another program's": {answerOf("WRONGTYPE no string"), "+a -b -none", nil}, "lost": {io.EOF, "", kv.ErrUnavailable},
	} {
		d, s := onDouble(t, false)
		s.items = map[string]string{"a": "1", "b": "2"}
		s.fail = func(cmd goredis.Cmder) error {
			if cmd.Args()[1] == "b" {
				return c.err
			}
			return nil
		}
		var sink toldOf
		err := d.tell(t.Context(), []string{"a", "b", "none"}, &sink)
		if got := strings.Join(sink, " "); got != c.want || fault.KindOf(err) != fault.KindOf(c.fail) || (err == nil) != (c.fail == nil) {
			t.Errorf("%s: told %q, %v, want %q, %v", name, got, err, c.want, c.fail)
		}
	}
}
