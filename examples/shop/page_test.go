package main

import (
	"bufio"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
)

var pictures = flag.String("pictures", "", "folder to write pictures of the page to, while an instance of orders is dead: all widths and themes")

// Operators see on the page what went wrong, and everything on it fits into the
// window.
func TestThePageShowsTheShop(t *testing.T) {
	browser := servertest.Browser(t)
	phase, rate := "800ms", "4" // what a busy machine bears, too
	if *pictures != "" {
		phase, rate = "20s", "20"
		if err := os.MkdirAll(*pictures, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-stay", "-phase", phase, "-rate", rate, "-addr", "127.0.0.1:0", "-ops", "127.0.0.1:0"}, out)
		out.Close()
		done <- err
	}()
	defer func() {
		interrupt()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	// What the program says is read at once: it waits for its reader.
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for text := bufio.NewScanner(said); text.Scan(); {
			lines <- text.Text()
		}
	}()
	address := ""
	var tab *servertest.Tab
	for line := range lines {
		if m := regexp.MustCompile(`page for operators: (http://\S+)$`).FindStringSubmatch(line); m != nil {
			address = m[1]
			tab = servertest.OpenTab(t, browser, address, 1280, 800)
		}
		if strings.HasPrefix(line, "── kill") && *pictures != "" {
			tab.Go(address + "#router?service=orders")
			tab.AwaitText("main", "tried again at") // the router has seen it
			for _, fragment := range []string{"cluster", "map", "router?service=orders", "service?name=orders", "timeline", "traces?service=orders", "config", "locks", "events"} {
				look(t, tab, address, fragment)
			}
		}
		if strings.HasPrefix(line, "shoppers go on") {
			break
		}
	}
	if tab == nil {
		t.Fatal("it does not say where the page is")
	}
	for fragment, want := range map[string][]string{
		"cluster":               {"frontend", "catalogue", "cart", "orders", "payment"},
		"map":                   {"frontend", "payment", "messages"},
		"timeline":              {"features.discount", "orders-3"},
		"service?name=orders":   {"PUT /orders/{id}", "traces"},
		"traces?service=orders": {"orders"},
	} {
		tab.Go(address + "#" + fragment)
		for _, w := range want {
			tab.AwaitText("main", w)
		}
		if *pictures == "" {
			look(t, tab, address, fragment)
		}
	}
	if errs := tab.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}

// look shows a part at all widths, where nothing may be beyond the window.
func look(t *testing.T, tab *servertest.Tab, address, fragment string) {
	t.Helper()
	tab.Go(address + "#" + fragment)
	tab.Await("document.querySelector('main h1') !== null")
	for _, width := range []int{360, 768, 1280, 1920} {
		tab.Size(width, map[bool]int{true: 800, false: 1000}[width < 1920])
		tab.Await("document.documentElement.scrollWidth <= innerWidth")
		if *pictures == "" {
			continue
		}
		for _, dark := range []bool{false, true} {
			tab.Dark(dark)
			name := strings.NewReplacer("?", "-", "=", "-").Replace(fragment) + "-" + strconv.Itoa(width) + map[bool]string{false: "-light", true: "-dark"}[dark]
			tab.Shot(filepath.Join(*pictures, name+".png"), false)
		}
	}
}
