package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
)

// vault is a resolver whose entries change and fail.
type vault struct {
	mu      sync.Mutex
	entries map[string]string
	fail    error
	asked   map[string]int
}

func (v *vault) Resolve(_ context.Context, ref string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.asked == nil {
		v.asked = map[string]int{}
	}
	v.asked[ref]++
	if v.fail != nil {
		return "", v.fail
	}
	s, ok := v.entries[ref]
	if !ok {
		return "", fmt.Errorf("no entry: %w", config.ErrNotFound)
	}
	return s, nil
}

func (v *vault) set(entries map[string]string, fail error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.entries, v.fail = entries, fail
}

// count is how often the vault was asked for ref.
func (v *vault) count(ref string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[ref]
}

func TestReferencesStandForWhatTheResolverReturns(t *testing.T) {
	v := &vault{entries: map[string]string{"pw": "hun:ter2", "port": "8080", "n/a:b": "x", "in": "${v:pw}", "none": ""}}
	for _, c := range []struct{ document, want, problem string }{
		{document: `{"a":"${v:pw}"}`, want: `{"a":"hun:ter2"}`},
		{document: `{"a":"postgres://app:${v:pw}@db:${v:port}/shop"}`, want: `{"a":"postgres://app:hun:ter2@db:8080/shop"}`},
		{document: `{"a":["${v:port}",{"b":"${v:port}"}],"c":1}`, want: `{"a":["8080",{"b":"8080"}],"c":1}`},
		{document: `{"a":"${v:n/a:b}"}`, want: `{"a":"x"}`},
		{document: `{"a":"[${v:none}]"}`, want: `{"a":"[]"}`},
		{document: `{"a":"${v:in}"}`, want: `{"a":"${v:pw}"}`}, // what was resolved is a value
		{document: `{"a":"$${v:pw} ${HOME} $ {v:pw} ${} ${:x} ${1:x}"}`, want: `{"a":"${v:pw} ${HOME} $ {v:pw} ${} ${:x} ${1:x}"}`},
		{document: `{"a":"$$${v:pw}"}`, want: `{"a":"$${v:pw}"}`},
		{document: `{"${v:pw}":1}`, want: `{"${v:pw}":1}`}, // a key
		{document: `{"a":"${w:pw}"}`, problem: `memory m:1: a: no resolver for the scheme "w"`},
		{document: `{"a":"${v:pw"}`, problem: "without its end"},
		{document: `{"a":"${v:}"}`, problem: "names nothing"},
		{document: `{"a":{"b":["","${v:gone}"]}}`, problem: "a.b.1: reference ${v:gone}: no entry: not found"},
		{document: `{"a":"${v:` + strings.Repeat("x", 4096) + `}"}`, problem: "no entry"},
		{document: `{"a":"${v:` + strings.Repeat("x", 4097) + `}"}`, problem: "4097 bytes"},
	} {
		cfg, err := config.New(config.WithSource(config.Memory("m", []byte(c.document))), config.WithResolver("v", v))
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%.60s: got %v, want %q", c.document, err, c.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.document, err)
			continue
		}
		if got := string(cfg.Snapshot().Bytes()); got != c.want {
			t.Errorf("%s: got %s, want %s", c.document, got, c.want)
		}
		cfg.Close()
	}
	plain, err := config.New(config.WithSource(config.Memory("m", []byte(`{"a":"${v:pw} $${x}"}`))))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if got := plain.Get("a").String(""); got != "${v:pw} $${x}" {
		t.Errorf("without a resolver: got %q, want the text as it is", got)
	}
}

// A value has no type, as one of the environment has none.
func TestReferencesConvertToWhatIsAskedFor(t *testing.T) {
	v := &vault{entries: map[string]string{"port": "8080", "wait": "3s", "hosts": "a,b"}}
	cfg, err := config.New(config.WithSource(config.Memory("m", []byte(`{"port":"${v:port}","wait":"${v:wait}","hosts":"${v:hosts}"}`))), config.WithResolver("v", v))
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	type settings struct {
		Port  int `max:"9000"`
		Wait  time.Duration
		Hosts []string
	}
	b, err := config.Bind[settings](cfg, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(b.Load()); got != "&{8080 3s [a b]}" {
		t.Errorf("got %s", got)
	}
}

func TestNoOutputShowsWhatAReferenceStoodFor(t *testing.T) {
	saved := filepath.Join(t.TempDir(), "good.json")
	v := &vault{entries: map[string]string{"pw": hunter}}
	m := config.Memory("m", []byte(`{"motto":"${v:pw}","list":["x-${v:pw}"],"plain":"$${v:pw}"}`))
	cfg, err := config.New(config.WithSource(m), config.WithResolver("v", v), config.WithLastKnownGood(saved, 0))
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.Snapshot()
	var out strings.Builder
	fmt.Fprintln(&out, s, s.Get(""), s.Get("motto").Scan(new(int)), s.Get("motto").Scan(new(picky)), s.Get("list").Scan(new([]int)))
	m.Set([]byte(`{"motto":"${v:pw}!"}`))
	if err := cfg.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range config.Diff(s.Get(""), cfg.Get("")) {
		fmt.Fprintln(&out, c)
	}
	file, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), hunter) || strings.Contains(string(file), hunter) {
		t.Errorf("shown:\n%s\nsaved:\n%s", out.String(), file)
	}
	if !strings.Contains(out.String(), `"plain":"${v:pw}"`) || !strings.Contains(string(file), "${v:pw}!") {
		t.Errorf("what is no secret is hidden too:\n%s\nsaved:\n%s", out.String(), file)
	}
}

func TestARotatedSecretArrivesAndAFailureKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{entries: map[string]string{"pw": "one", "still": "s"}}
		cfg, err := config.New(config.WithSource(config.Memory("m", []byte(`{"a":"${v:pw}","b":"${v:pw}","c":"${v:still}"}`))),
			config.WithResolver("v", v, config.ResolveEvery(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		defer cfg.Close()
		if n := v.count("pw"); n != 1 {
			t.Errorf("asked %d times for a reference in two places", n)
		}
		changes := make(chan string, 10)
		stop, err := cfg.Subscribe("a", func(_ context.Context, c config.Change) (func(), error) {
			changes <- c.New.String("")
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for len(changes) > 0 {
			<-changes
		}

		v.set(map[string]string{"pw": "two", "still": "s"}, nil)
		time.Sleep(59 * time.Second)
		if got := cfg.Get("a").String(""); got != "one" {
			t.Errorf("before the minute is over: got %q", got)
		}
		time.Sleep(2 * time.Second)
		if got := cfg.Get("a").String(""); got != "two" || <-changes != "two" {
			t.Errorf("after it: got %q", got)
		}
		version := cfg.Snapshot().Version()

		v.set(nil, config.ErrUnavailable)
		time.Sleep(time.Minute)
		h := cfg.Health()
		if got := cfg.Get("a").String(""); got != "two" || h.OK || len(h.Unresolved) != 2 || !errors.Is(h.Err(), config.ErrUnavailable) {
			t.Errorf("with the vault unavailable: got %q, %+v", got, h)
		}
		since := h.Unresolved[0].(*config.SourceError).Since
		time.Sleep(time.Minute)
		if now := cfg.Health().Unresolved[0].(*config.SourceError).Since; !now.Equal(since) || since.IsZero() {
			t.Errorf("the failure began at %v, then at %v", since, now)
		}
		if err := cfg.Reload(t.Context()); err != nil || cfg.Snapshot().Version() != version {
			t.Errorf("Reload meanwhile: %v, version %d, want %d", err, cfg.Snapshot().Version(), version)
		}

		v.set(map[string]string{"pw": "two", "still": "s"}, nil)
		time.Sleep(time.Minute)
		if h := cfg.Health(); !h.OK || cfg.Snapshot().Version() != version {
			t.Errorf("after it is back: %+v", h)
		}
		v.set(map[string]string{"pw": "three", "still": "s"}, nil)
		if err := cfg.Reload(t.Context()); err != nil || cfg.Get("b").String("") != "three" {
			t.Errorf("Reload: %v, got %q", err, cfg.Get("b").String(""))
		}
	})
}

func TestAChangeThatCantBeResolvedIsRefusedUntilItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{entries: map[string]string{"pw": "one"}}
		m := config.Memory("m", []byte(`{"a":"${v:pw}"}`))
		cfg, err := config.New(config.WithSource(m), config.WithResolver("v", v))
		if err != nil {
			t.Fatal(err)
		}
		defer cfg.Close()
		m.Set([]byte(`{"a":"${v:later}","n":1}`))
		time.Sleep(time.Second)
		if h := cfg.Health(); cfg.Get("a").String("") != "one" || cfg.Get("n").Exists() || !errors.Is(h.Rejected, config.ErrNotFound) {
			t.Errorf("got %v, %+v", cfg.Snapshot(), h)
		}
		v.set(map[string]string{"pw": "two"}, nil) // what runs goes on, rotation too
		if err := cfg.Reload(t.Context()); !errors.Is(err, config.ErrNotFound) {
			t.Errorf("Reload: got %v, want ErrNotFound", err)
		}
		v.set(map[string]string{"pw": "two", "later": "x"}, nil)
		time.Sleep(11 * time.Second)
		if h := cfg.Health(); !h.OK || cfg.Get("a").String("") != "x" || cfg.Get("n").Int(0) != 1 {
			t.Errorf("once it is there: got %v, %+v", cfg.Snapshot(), h)
		}
		v.set(map[string]string{"later": "y"}, nil)
		time.Sleep(11 * time.Second)
		if got := cfg.Get("a").String(""); got != "y" {
			t.Errorf("rotated: got %q", got)
		}
		asked := v.count("pw")
		time.Sleep(time.Minute)
		if gone, used := v.count("pw")-asked, v.count("later"); gone != 0 || used < 6 {
			t.Errorf("asked %d times for a reference that is gone, %d times for the one in use", gone, used)
		}
	})
}

// What newer content could not resolve is asked for until other content runs.
func TestNobodyWaitsForAReferenceThatWasTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		m := config.Memory("m", []byte(`{"n":1}`))
		cfg, err := config.New(config.WithSource(m), config.WithResolver("v", v))
		if err != nil {
			t.Fatal(err)
		}
		defer cfg.Close()
		m.Set([]byte(`{"a":"${v:later}"}`))
		time.Sleep(time.Minute)
		if v.count("later") < 6 || cfg.Health().OK {
			t.Errorf("asked %d times in a minute, %+v", v.count("later"), cfg.Health())
		}
		m.Set([]byte(`{"n":2}`))
		time.Sleep(time.Second)
		runs := cfg.Snapshot()
		time.Sleep(time.Minute)
		if runs.Get("n").Int(0) != 2 || cfg.Snapshot() != runs {
			t.Error("content that holds no reference was applied again")
		}
	})
}

func TestNewSaysWhatCantBeResolved(t *testing.T) {
	for _, c := range []struct {
		name string
		r    config.ResolverFunc
		want error
	}{
		{"not there", func(context.Context, string) (string, error) { return "", config.ErrNotFound }, config.ErrNotFound},
		{"unavailable", func(context.Context, string) (string, error) { return "", config.ErrUnavailable }, config.ErrUnavailable},
		{"without a kind", func(context.Context, string) (string, error) { return "", errors.New("odd") }, config.ErrInvalid},
		{"late", func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }, config.ErrUnavailable},
		{"panics", func(context.Context, string) (string, error) { panic("no") }, config.ErrInvalid},
		{"no text", func(context.Context, string) (string, error) { return "\xff", nil }, config.ErrInvalid},
		{"largest", func(context.Context, string) (string, error) { return strings.Repeat("x", 1<<20), nil }, nil},
		{"too large", func(context.Context, string) (string, error) { return strings.Repeat("x", 1<<20+1), nil }, config.ErrTooLarge},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg, err := config.New(config.WithSource(config.Memory("m", []byte(`{"a":"${v:pw}"}`))), config.WithResolver("v", c.r))
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			if err == nil {
				cfg.Close()
			}
		})
	}
}

func TestOptionsOfResolversAreChecked(t *testing.T) {
	v := &vault{}
	for _, c := range []struct {
		name string
		opt  config.Option
		ok   bool
	}{
		{"nil resolver", config.WithResolver("v", nil), false},
		{"no scheme", config.WithResolver("", v), false},
		{"digit first", config.WithResolver("1v", v), false},
		{"colon", config.WithResolver("v:", v), false},
		{"all that may be", config.WithResolver("v1+a-b.c", v), true},
		{"nil option", config.WithResolver("v", v, nil), false},
		{"no time", config.WithResolver("v", v, config.ResolveEvery(0)), false},
		{"some time", config.WithResolver("v", v, config.ResolveEvery(1)), true},
	} {
		cfg, err := config.New(c.opt)
		if err == nil {
			cfg.Close()
		}
		if (err == nil) != c.ok || err != nil && !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if _, err := config.New(config.WithResolver("v", v), config.WithResolver("v", v)); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("a scheme twice: got %v", err)
	}
}

func TestFilesReadsWhatIsBelowItsDirectoryAlone(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(t.TempDir(), "secrets")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "key"), "stolen")
	write(filepath.Join(dir, "..data1", "db"), "pass\n")
	write(filepath.Join(dir, "sub", "crlf"), "pass\r\n")
	write(filepath.Join(dir, "lines"), "a\n\n")
	write(filepath.Join(dir, "empty"), "")
	write(filepath.Join(dir, "large"), strings.Repeat("x", 1<<20)+"\n")
	write(filepath.Join(dir, "larger"), strings.Repeat("x", 1<<20+1))
	for name, to := range map[string]string{"..data": "..data1", "db": "..data/db", "out": filepath.Join(outside, "key"), "up": "../../" + filepath.Base(outside) + "/key"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := config.Files(filepath.Join(dir, "gone")).Resolve(t.Context(), "db"); !errors.Is(err, config.ErrNotFound) || text != "" {
		t.Errorf("of a directory that is not there: %q, %v", text, err)
	}
	r := config.Files(dir)
	for _, c := range []struct {
		ref, want string
		err       error
	}{
		{"db", "pass", nil}, // as Kubernetes mounts it
		{filepath.Join(dir, "db"), "pass", nil},
		{"sub/crlf", "pass", nil},
		{"lines", "a\n", nil},
		{"empty", "", nil},
		{"large", strings.Repeat("x", 1<<20), nil},
		{"gone", "", config.ErrNotFound},
		{"sub", "", config.ErrInvalid},
		{"../x", "", config.ErrInvalid},
		{filepath.Join(outside, "key"), "", config.ErrInvalid},
		{"out", "", config.ErrUnavailable},
		{"up", "", config.ErrUnavailable},
	} {
		got, err := r.Resolve(t.Context(), c.ref)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %.20q, %v, want %.20q, %v", c.ref, got, err, c.want, c.err)
		}
	}
	cfg, err := config.New(config.WithSource(config.Memory("m", []byte(`{"a":"${file:larger}"}`))), config.WithResolver("file", r))
	if !errors.Is(err, config.ErrTooLarge) {
		t.Errorf("a value of more than 1 MiB: got %v, %v", cfg, err)
	}
}
