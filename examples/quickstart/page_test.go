package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

// The page says what went wrong, at every width.
func TestThePageShowsWhatHappened(t *testing.T) {
	browser := servertest.Browser(t)
	address := stay(t)
	tab := servertest.OpenTab(t, browser, address, 1280, 800)
	for _, part := range []struct {
		fragment string
		want     []string
	}{
		{"timeline", []string{"greeter / greeter-3", "lost: no report", "names-2 turns slow", "slow.names-2 = \"100ms\""}},
		{"cluster", []string{"greeter-3", "lost", "3 of 3 instances healthy"}},
		{"map", []string{"client", "greeter", "names", "memory"}},
		{"service?name=names", []string{"GET /title/{name}", "names-2"}},
		{"router", []string{"greeter", "greeter-1", "in rotation"}},
		{"search?q=greeter-3", []string{"greeter-3", "lost"}},
	} {
		tab.Go(address + "#" + part.fragment)
		for _, w := range part.want {
			tab.AwaitText("main", w)
		}
		for _, width := range []int{360, 768, 1280, 1600} {
			tab.Size(width, map[bool]int{true: 800, false: 900}[width < 1600])
			tab.Await("document.documentElement.scrollWidth <= innerWidth")
		}
	}
	if errs := tab.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}

// stay runs the quickstart until the test ends and returns the page's address
// once the last of its phases is over.
func stay(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-stay", "-phase", "1500ms", "-rate", "100"}, w)
		w.CloseWithError(io.EOF)
		done <- err
		close(done) // the cleanup waits too
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	goes := make(chan string)
	go func() {
		defer close(goes)
		lines, address := bufio.NewScanner(r), ""
		for lines.Scan() {
			if m := regexp.MustCompile(`page: (http://\S+/)$`).FindStringSubmatch(lines.Text()); m != nil {
				if address != "" {
					goes <- address // it is said again when the story is over
				}
				address = m[1]
			}
		}
	}()
	select {
	case address := <-goes:
		go func() {
			for range goes {
			}
		}()
		return address
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("it takes more than 2 minutes")
	}
	return ""
}
