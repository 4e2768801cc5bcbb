//go:build unix

// Package start_test runs docs/start.md, and measures its programs.
package start_test

import (
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/micro/go-platform/internal/docs/shell"
)

var update = flag.Bool("update", false, "write the sizes of the programs")

// TestThePageIsWhatHappens types what docs/start.md says, in order, and sees what it says. Only
// the ports are others, and the programs are compiled once.
func TestThePageIsWhatHappens(t *testing.T) {
	page, err := os.ReadFile("../../docs/start.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := shell.Blocks(string(page))
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ports := map[string]string{"8080": port(t), "8081": port(t)}
	program, number := regexp.MustCompile(`go run \./examples/start/(step\d)`), regexp.MustCompile(`\b808[01]\b`)
	swap := func(text string) string {
		return number.ReplaceAllStringFunc(text, func(p string) string { return ports[p] })
	}
	for i := range blocks {
		blocks[i].Want = swap(blocks[i].Want)
	}
	shell.Session{Dir: t.TempDir(), Replace: func(c string) string {
		return swap(program.ReplaceAllString(c, bin+"/$1 -addr 127.0.0.1:8080"))
	}}.Run(t, blocks)
	if len(blocks) < 25 {
		t.Errorf("the page has %d blocks only", len(blocks))
	}
	sizes(t, bin)
}

var row = regexp.MustCompile(`(?m)^(\| (step\d) \|.*\| )([\d.]+) \|$`)

// sizes compares the programs with what docs/faq.md says of their sizes, which may differ by a
// tenth between releases of Go. Elsewhere they are others.
func sizes(t *testing.T, bin string) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return
	}
	page, err := os.ReadFile("../../docs/faq.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	now := row.ReplaceAllFunc(page, func(line []byte) []byte {
		rows++
		m := row.FindSubmatch(line)
		info, err := os.Stat(filepath.Join(bin, string(m[2])))
		if err != nil {
			t.Fatal(err)
		}
		said, err := strconv.ParseFloat(string(m[3]), 64)
		is := float64(info.Size()) / 1e6
		if err != nil || math.Abs(said-is) > is/10 {
			if !*update {
				t.Errorf("%s has %.1f MB, docs/faq.md says %s; go test ./examples/start -update writes it", m[2], is, m[3])
			}
		}
		return fmt.Appendf(nil, "%s%.1f |", m[1], is)
	})
	if rows != 4 {
		t.Errorf("docs/faq.md has the sizes of %d programs", rows)
	}
	if *update {
		if err := os.WriteFile("../../docs/faq.md", now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// port returns one where nothing listens.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
