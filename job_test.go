package platform_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
)

// A job ends after the calls in progress, and before the parts that it uses.
func TestJobEndsBetweenCallsAndParts(t *testing.T) {
	inside, answer := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow", func(rw http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-answer
		fmt.Fprint(rw, "done")
	})
	r := made(t, nil)
	ended, began := make(chan error, 1), make(chan struct{})
	r.start(t, platform.HTTP("127.0.0.1:0", mux), platform.Job(func(ctx context.Context) error {
		close(began)
		<-ctx.Done()
		_, err := r.KV().Put(context.WithoutCancel(ctx), "last", nil)
		ended <- err
		return ctx.Err()
	}))
	<-began
	body := make(chan string, 1)
	go func() {
		_, text := get(t, "http://"+r.address(t, "greeter")+"/slow")
		body <- text
	}()
	<-inside
	r.stop()
	select {
	case <-ended:
		t.Error("the job ended while a call was in progress")
	case <-time.After(100 * time.Millisecond):
	}
	close(answer)
	if text := <-body; text != "done" {
		t.Errorf("the call in progress was answered with %q", text)
	}
	if err := wait(t, r.done); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("a part was closed before the job had ended: %v", err)
	}
}

func TestJobsThatEndByThemselves(t *testing.T) {
	fail := errors.New("no more work")
	for name, c := range map[string]struct {
		job  func(context.Context) error
		stop bool
		want error
	}{
		"an error ends the program": {func(context.Context) error { return fail }, false, fail},
		"an error after the end is said": {func(ctx context.Context) error {
			<-ctx.Done()
			return fail
		}, true, fail},
		"that the context has ended is no error": {func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("waiting: %w", ctx.Err())
		}, true, nil},
		"nil ends the job alone": {func(context.Context) error { return nil }, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := made(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began := make(chan struct{})
			job := func(ctx context.Context) error {
				close(began)
				return c.job(ctx)
			}
			go func() { r.done <- r.Run(ctx, platform.Job(job)) }() // a program without a server
			if c.stop {
				<-began
				select {
				case err := <-r.done:
					t.Fatalf("Run ended with %v", err)
				case <-time.After(50 * time.Millisecond):
				}
				cancel()
			}
			if err := wait(t, r.done); !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), "job") {
				t.Errorf("Run: %v, want %v", err, c.want)
			}
		})
	}
}

func TestJobThatDoesNotEndIsSaid(t *testing.T) {
	r := made(t, []platform.Option{platform.WithStopTimeout(50 * time.Millisecond)})
	began := make(chan struct{})
	r.start(t, platform.HTTP("127.0.0.1:0", hello()), platform.Job(func(context.Context) error {
		close(began)
		for { // until Run no longer waits for it, and has closed a part
			if _, err := r.KV().Get(context.Background(), "x"); errors.Is(err, kv.ErrClosed) {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}))
	<-began // one that has not begun is not waited for
	r.stop()
	if err := wait(t, r.done); err == nil || !strings.Contains(err.Error(), "job") {
		t.Errorf("Run: %v, want an error about the job", err)
	}
}

// A job that is stopped before it has begun does not begin, and nobody waits for it.
func TestAJobThatHasNotBegun(t *testing.T) {
	j := platform.Job(func(context.Context) error { return errors.New("it has begun") })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := j.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := j.Serve(nil, nil, nil); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	r := start(t, nil, platform.Listener(l, platform.HTTP("", hello())))
	if got := r.address(t, "greeter"); got != addr {
		t.Errorf("registered at %s, listens at %s", got, addr)
	}
	for path, want := range map[string]string{"/hello/Ada": "Hello, Ada", "/readyz": "ok"} {
		if code, body := get(t, "http://"+addr+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	if again, err := net.Listen("tcp", addr); err != nil {
		t.Errorf("not closed: %v", err)
	} else {
		again.Close()
	}
}

// What Run refuses is closed too, and says what is wrong.
func TestBadJobsAndListeners(t *testing.T) {
	for name, c := range map[string]struct {
		servers func(l net.Listener) []platform.Server
		closed  bool
		want    string
	}{
		"nil job": {func(net.Listener) []platform.Server { return []platform.Server{platform.Job(nil)} }, false, "invalid: nil job"},
		"nil listener": {func(net.Listener) []platform.Server {
			return []platform.Server{platform.Listener(nil, platform.HTTP("", hello()))}
		}, false, "invalid: nil listener"},
		"job with a name": {func(net.Listener) []platform.Server { return []platform.Server{platform.As("x", platform.Job(idle))} }, false, "invalid: a job has no name"},
		"job with a listener": {func(l net.Listener) []platform.Server {
			return []platform.Server{platform.Listener(l, platform.Job(idle))}
		}, true, "invalid: a job has no listener"},
		"empty name on a listener": {func(l net.Listener) []platform.Server {
			return []platform.Server{platform.Listener(l, platform.As("", platform.HTTP("", hello())))}
		}, true, "invalid: a server with an empty name"},
		"another's address is taken": {func(l net.Listener) []platform.Server {
			return []platform.Server{platform.Listener(l, platform.HTTP("", hello())), platform.As("x", platform.HTTP("203.0.113.1:1", hello()))}
		}, true, "203.0.113.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			app, err := platform.New("greeter", platform.WithLog(log.ToWriter(io.Discard, log.JSON())))
			if err != nil {
				t.Fatal(err)
			}
			if err := app.Run(t.Context(), c.servers(l)...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Run: %v, want %q", err, c.want)
			}
			if c.closed && l.Close() == nil {
				t.Error("the listener was left open")
			}
		})
	}
}

func idle(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func ExampleJob() {
	app, err := platform.New("orders", platform.WithLog(log.ToWriter(io.Discard, log.JSON())))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = app.Run(ctx, platform.HTTP("127.0.0.1:0", http.NewServeMux()), platform.Job(func(ctx context.Context) error {
		fmt.Println("works until the program is to stop")
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}))
	fmt.Println(err)
	// Output:
	// works until the program is to stop
	// <nil>
}

func ExampleListener() {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the address is known before anything runs
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := platform.New("greeter", platform.WithLog(log.ToWriter(io.Discard, log.JSON())))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, platform.Listener(l, platform.HTTP("", http.NotFoundHandler()))) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/livez")
	if err != nil {
		fmt.Println(err)
	} else {
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// 200 OK
	// <nil>
}
