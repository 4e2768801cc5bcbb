package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/examples/internal/trial"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor/page"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"instance": alone})
	leak.Main(m)
}

// story runs the shop with shoppers and chaos, and checks what it reports: nothing
// is lost and nothing happens twice, and every part of the story took place.
func story(t *testing.T, args ...string) {
	t.Helper()
	var out strings.Builder
	start := time.Now()
	err := run(t.Context(), append([]string{"-addr", "127.0.0.1:0", "-ops", "127.0.0.1:0", "-phase", "700ms", "-rate", "8", "-most", "4", "-broken", "0.4", "-declined", "0.3"}, args...), &out)
	text := out.String()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Logf("took %v\n%s", time.Since(start), text)
	m := regexp.MustCompile(`(\d+) placed = (\d+) paid \+ (\d+) refused; lost 0, twice 0\n  (\d+) were confirmed to shoppers; (\d+) had the discount`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("orders were lost or handled twice:\n%s", text)
	}
	var n [6]int
	for i := range m {
		n[i], _ = strconv.Atoi(m[i])
	}
	placed, paid, refused, confirmed, cheaper := n[1], n[2], n[3], n[4], n[5]
	if placed != paid+refused || confirmed < 10 || confirmed > placed || refused == 0 || cheaper == 0 || cheaper == placed {
		t.Errorf("%d placed, %d paid, %d refused, %d confirmed, %d cheaper", placed, paid, refused, confirmed, cheaper)
	}
	for _, phase := range []string{"before", "slow", "kill", "cut", "after"} {
		row := regexp.MustCompile(` ` + phase + ` +(\d+) +(\d+) +[\d.]+ms`).FindStringSubmatch(text)
		if row == nil || row[1] == "0" {
			t.Errorf("no requests in phase %s:\n%s", phase, text)
		} else if row[2] != "0" {
			t.Errorf("%s errors in phase %s, want none: what fails is asked of another instance\n%s", row[2], phase, text)
		}
	}
	second := regexp.MustCompile(`catalogue 2 was for (\d+) of (\d+) shoppers; 0 saw first`).FindStringSubmatch(text)
	if second == nil || second[1] == "0" || second[1] == second[2] {
		t.Errorf("catalogue 2 is not for a share of the shoppers:\n%s", text)
	}
	if !regexp.MustCompile(`leader's last report, by orders-\d under fencing token [1-9]`).MatchString(text) {
		t.Errorf("no report by a leader:\n%s", text)
	}
}

func TestStoryOnEmbeddedDefaults(t *testing.T) {
	t.Parallel()
	story(t)
}

func TestStoryOnRealServers(t *testing.T) {
	t.Parallel()
	redis, nats := "redis://"+servertest.Redis(t).Addr(), "nats://"+servertest.NATS(t).Addr() // its own: a discount stays
	story(t, "-db", servertest.Postgres(t).DSN(), "-kv", redis, "-sync", redis, "-discovery", redis, "-event", nats)
}

// What the program says to try works, and Ctrl-C ends it without an error.
func TestWhatItSaysToTryWorksUntilItIsInterrupted(t *testing.T) {
	addr, ops := trial.Free(t), trial.Free(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-phase", "1m", "-rate", "1", "-addr", addr, "-ops", ops}, out)
		out.Close()
	}()
	var text strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if strings.HasPrefix(lines.Text(), "──") {
			trial.Curl(t, text.String(), "€ 49.00", `{"mug":2}`, `"status":"placed"`, `"cents":1800`)
			another(t, "http://"+addr)
			strangers(t, "http://"+addr, "http://"+ops)
			interrupt()
		}
	}
	if err := <-done; err != nil || !strings.Contains(text.String(), "http://"+ops+"/\n") {
		t.Errorf("ended with %v\n%s", err, text.String())
	}
}

// another orders as a second shopper under an id that is taken, and under one that
// is too long: that shopper does not see Ada's order, and keeps the cart.
func another(t *testing.T, base string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	if err := ask(t.Context(), client, http.MethodPut, base+"/carts/bob/pen", 1, nil); err != nil {
		t.Error(err)
	}
	for method, want := range map[string]int{http.MethodPut: http.StatusConflict, http.MethodGet: http.StatusNotFound} {
		var got *failure
		if err := ask(t.Context(), client, method, base+"/orders/bob/my-first-order", nil, nil); !errors.As(err, &got) || got.status != want {
			t.Errorf("%s of another's order: %v, want status %d", method, err, want)
		}
	}
	var cart Cart
	if err := ask(t.Context(), client, http.MethodGet, base+"/carts/bob", nil, &cart); err != nil || cart["pen"] != 1 {
		t.Errorf("the cart has %v, %v; want what was put into it", cart, err)
	}
	var got *failure
	if err := ask(t.Context(), client, http.MethodPut, base+"/orders/bob/"+strings.Repeat("x", 200), nil, nil); !errors.As(err, &got) || got.status != http.StatusBadRequest {
		t.Errorf("an id that is too long: %v, want status 400", err)
	}
}

// strangers checks what is on the shoppers' port and not on that of operators, and
// the other way round.
func strangers(t *testing.T, shoppers, operators string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	for path, want := range map[string]string{"/metrics": "http_server_request_duration", "/readyz": "ok", "/statusz": "frontend", "/": "<html", "/api/locks": "["} {
		for base, ok := range map[string]bool{operators: true, shoppers: path == "/"} {
			resp, err := client.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if (resp.StatusCode == http.StatusOK) != ok || err != nil {
				t.Errorf("%s%s: status %s, %v, want it there: %v", base, path, resp.Status, err, ok)
			}
			if base == operators && !strings.Contains(string(b), want) {
				t.Errorf("%s%s: %.200s, want %q in it", base, path, b, want)
			}
		}
	}
}

// What went wrong inside is in the log, and no caller is told: neither by the
// service itself, nor by one that asks it.
func TestCallersSeeNothingOfTheInside(t *testing.T) {
	var log strings.Builder
	l := slog.New(slog.NewTextHandler(&log, nil))
	secret := errors.New(`dial tcp 10.0.0.7:5432: password authentication failed for user "shop"`)
	for name, c := range map[string]struct {
		err    error
		status int
		text   string
		logged bool
	}{
		"unknown":         {secret, 503, "not now; try again", true},
		"a bad request":   {bad("want a number"), 400, "want a number", false},
		"an invalid id":   {fmt.Errorf("db: create \"orders\": %w: %w", db.ErrInvalid, secret), 400, "that can not be a name here", true},
		"nothing there":   {fmt.Errorf("db: get \"orders\": %w: %w", db.ErrNotFound, secret), 404, "there is no such thing", true},
		"gRPC, not there": {status.Error(codes.NotFound, secret.Error()), 404, "there is no such thing", true},
		"gRPC, a failure": {answer(t.Context(), l, secret), 503, "not now; try again", true},
	} {
		log.Reset()
		inner := httptest.NewServer(handle(l, func(*http.Request) (any, error) { return nil, c.err }))
		outer := httptest.NewServer(handle(l, func(r *http.Request) (any, error) {
			return nil, ask(r.Context(), inner.Client(), http.MethodGet, inner.URL, nil, nil)
		}))
		for _, url := range []string{inner.URL, outer.URL} {
			resp, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := fmt.Sprintf("{\"error\":%q}\n", c.text); resp.StatusCode != c.status || string(b) != want {
				t.Errorf("%s: got %d %s, want %d %s", name, resp.StatusCode, b, c.status, want)
			}
		}
		if (log.Len() > 0) != c.logged {
			t.Errorf("%s: logged %q", name, log.String())
		}
		outer.Close()
		inner.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// Ctrl-C is no failure before anything runs either.
func TestInterruptedAtOnce(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := run(ctx, []string{"-addr", "127.0.0.1:0", "-ops", "127.0.0.1:0"}, io.Discard); err != nil {
		t.Error(err)
	}
}

// The page is for operators at this machine, whoever reaches the port.
func TestPageIsForThisMachineAlone(t *testing.T) {
	for from, want := range map[string]page.Access{
		"127.0.0.1:1": page.Write, "[::1]:1": page.Write, "[::ffff:127.0.0.1]:1": page.Write,
		"10.0.0.1:1": page.None, "127.0.0.1.example:1": page.None, "[2001:db8::1]:1": page.None, "": page.None,
	} {
		if got := operator(&http.Request{RemoteAddr: from}); got != want {
			t.Errorf("from %q: %v, want %v", from, got, want)
		}
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://u:s3cret@h:1/d": "postgres://h:1", "sqlite:shop.db": "sqlite:shop.db", "mysql://u:s3cret@tcp(h:1)/d": "mysql at an address that is not shown",
	} {
		if got := hide(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// The report says what is wrong: of each kind one order.
func TestReportCountsWhatIsLostAndTwice(t *testing.T) {
	one := map[string]bool{"1": true}
	whole := func() (*audit, *load) {
		return &audit{
			orders:   map[string]Order{"a": {Status: "paid"}, "b": {Status: "refused"}},
			charges:  map[string]int{"a": 1, "b": 1},
			placed:   map[string]map[string]bool{"a": one, "b": one},
			payments: map[string]map[string]bool{"a": one, "b": one},
		}, &load{placed: map[string]bool{"a": true}}
	}
	for name, c := range map[string]struct {
		spoil       func(a *audit, l *load)
		lost, twice int
	}{
		"all is well":               {func(*audit, *load) {}, 0, 0},
		"confirmed and gone":        {func(_ *audit, l *load) { l.placed["c"] = true }, 1, 0},
		"never settled":             {func(a *audit, _ *load) { a.orders["b"] = Order{Status: "placed"} }, 1, 0},
		"settled without a charge":  {func(a *audit, _ *load) { delete(a.charges, "a") }, 1, 0},
		"settled without an event":  {func(a *audit, _ *load) { delete(a.payments, "a") }, 1, 0},
		"placed without an event":   {func(a *audit, _ *load) { delete(a.placed, "b") }, 1, 0},
		"charged twice":             {func(a *audit, _ *load) { a.charges["a"] = 2 }, 0, 1},
		"two events of one order":   {func(a *audit, _ *load) { a.placed["a"] = map[string]bool{"1": true, "2": true} }, 0, 1},
		"two events of one payment": {func(a *audit, _ *load) { a.payments["a"] = map[string]bool{"1": true, "2": true} }, 0, 1},
	} {
		a, l := whole()
		c.spoil(a, l)
		var out strings.Builder
		a.print(&out, l)
		if want := fmt.Sprintf("lost %d, twice %d\n", c.lost, c.twice); !strings.Contains(out.String(), want) {
			t.Errorf("%s: got\n%s\nwant %q", name, out.String(), want)
		}
	}
}

func TestBadFlagsAreErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-db", "oracle://x"}, {"-db", "redis://h"}, {"-db", "memory:"}, {"-kv", "nonsense"}, {"-event", "http://x"}, {"-rate", "0"}, {"-most", "0"}, {"-rate", "2000000000"}, {"-phase", "-1s"},
		{"-chaos", "some"}, {"-declined", "1.1"}, {"-broken", "1"}, {"-broken", "NaN"}, {"-service", "bank", "-db", "sqlite:x"}, {"-service", "cart"}, {"more"},
	} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil {
			t.Errorf("%v was accepted", args)
		} else {
			t.Log(err)
		}
	}
}
