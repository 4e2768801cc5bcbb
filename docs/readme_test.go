package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	claim  = regexp.MustCompile(`(?m)^- \*\*.*$`)
	linked = regexp.MustCompile(`\]\(([^)]+)\)`)
	number = regexp.MustCompile(`\d[\d.–]*`)
)

// TestReadmeSaysWhatWasMeasured finds each figure of README.md's list in the page that it links to.
func TestReadmeSaysWhatWasMeasured(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	claims := claim.FindAllString(string(readme), -1)
	if len(claims) != 3 {
		t.Errorf("README.md makes %d claims", len(claims))
	}
	for _, c := range claims {
		link := linked.FindStringSubmatch(c)
		if link == nil {
			t.Errorf("no link in %q", c)
			continue
		}
		source, err := os.ReadFile(filepath.Join("..", link[1]))
		if err != nil {
			t.Fatal(err)
		}
		figures := number.FindAllString(string(source), -1)
		for _, n := range number.FindAllString(c, -1) {
			if !slices.Contains(figures, n) {
				t.Errorf("%s is not in %s: %s", n, link[1], c)
			}
		}
	}
	weight, err := os.ReadFile("../internal/weight/weight.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, core := range strings.Fields("auth config db discovery event kv log metrics monitor router sync trace") {
		if !regexp.MustCompile(`(?m)^` + core + `: 0( |$)`).Match(weight) {
			t.Errorf("%s links a third-party package", core)
		}
	}
}
