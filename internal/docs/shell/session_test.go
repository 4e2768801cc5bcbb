//go:build unix

package shell

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(f string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(f, args...))
}

func TestSession(t *testing.T) {
	for name, test := range map[string]struct {
		page string
		fail string // "" if all is as the page says
	}{
		"folders stay":             {"```sh\nmkdir a\ncd a\n```\n```sh\nbasename $(pwd)\n```\n```text\na\n```\n", ""},
		"other output":             {"```sh\necho a\n```\n```text\nb\n```\n", "it printed\na"},
		"a failure":                {"```sh\nfalse\necho a\n```\n", "exit status 1"},
		"a terminal":               {"<!-- keeps running: one -->\n```sh\necho up; sleep 60\n```\n```text\nup\n```\n", ""},
		"a terminal says another":  {"<!-- keeps running: one -->\n```sh\necho down; sleep 60\n```\n```text\nup\n```\n", "printed\ndown"},
		"a terminal is used again": {"<!-- keeps running: one -->\n```sh\ntrap 'touch ended' EXIT; echo up; while :; do sleep .01; done\n```\n```text\nup\n```\n<!-- keeps running: one -->\n```sh\nls; sleep 60\n```\n```text\nended\n```\n", ""},
		"a terminal shows more":    {"<!-- keeps running: one -->\n```sh\necho a; echo b; sleep 60\n```\n<!-- seen in: one -->\n```text\nb\n```\n", ""},
		"a terminal shows less":    {"<!-- keeps running: one -->\n```sh\necho a; sleep 60\n```\n<!-- seen in: one -->\n```text\nb\n```\n", "printed\na"},
		"a terminal ends":          {"<!-- keeps running: one -->\n```sh\ntrap 'touch ended' EXIT; echo up; while :; do sleep .01; done\n```\n```text\nup\n```\n<!-- ctrl-c: one -->\n```sh\nls\n```\n```text\nended\n```\n", ""},
		"no such terminal":         {"<!-- ctrl-c: one -->\n", "nothing runs in one"},
		"in the background":        {"```sh\nsleep 60 &\necho a\n```\n```text\na\n```\n", ""},
		"replaced":                 {"```sh\necho 8080\n```\n```text\n9090\n```\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocks, err := Blocks(test.page)
			if err != nil {
				t.Fatal(err)
			}
			for within := 2 * time.Second; ; within *= 4 { // a busy machine may need longer
				rec := &recorder{TB: t}
				s := Session{Dir: t.TempDir(), Within: within, Replace: strings.NewReplacer("8080", "9090").Replace}
				s.Run(rec, blocks)
				got := strings.Join(rec.failures, "\n")
				if (got == "") == (test.fail == "") && strings.Contains(got, test.fail) {
					break
				}
				if within > 30*time.Second {
					t.Fatalf("reports %q, want %q", got, test.fail)
				}
			}
		})
	}
}
