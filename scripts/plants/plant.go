package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/micro/go-platform/scripts/internal/overlay"
)

// plant is a fault that is put into the code on purpose.
type plant struct {
	path  string // of the file that describes it
	what  string // what it breaks, in a line
	test  string // that finds it, where no world can; else ""
	hunks []hunk
}

// hunk replaces lines of a file.
type hunk struct {
	file     string // from the root of the module
	old, new string
}

func (p plant) name() string { return strings.TrimSuffix(filepath.Base(p.path), ".diff") }

// plants reads those of the package in a folder, by name.
func plants(dir string) ([]plant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "testdata", "plants", "*.diff"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var all []plant
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		p, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		p.path = path
		all = append(all, p)
	}
	return all, nil
}

// parse reads a line of what is broken, one with the test that finds it if that is not a world,
// and a unified diff, as git diff writes it. What stands behind @@ is not read: line numbers would soon be wrong.
func parse(text string) (plant, error) {
	var p plant
	file := ""
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case i == 0:
			p.what = strings.TrimSpace(line)
		case i == 1 && strings.HasPrefix(line, "test: "):
			p.test = strings.TrimPrefix(line, "test: ")
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "index "), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, `\ `):
		case strings.HasPrefix(line, "+++ "):
			file = strings.TrimPrefix(strings.TrimPrefix(line, "+++ "), "b/")
		case strings.HasPrefix(line, "@@"):
			p.hunks = append(p.hunks, hunk{file: file})
		case len(p.hunks) == 0 && line == "":
		case len(p.hunks) == 0:
			return p, fmt.Errorf("line %d is before the first hunk: %q", i+1, line)
		default:
			kind, rest := byte(' '), ""
			if line != "" {
				kind, rest = line[0], line[1:]
			}
			h := &p.hunks[len(p.hunks)-1]
			if kind != '+' {
				h.old += rest + "\n"
			}
			if kind != '-' {
				h.new += rest + "\n"
			}
			if !strings.ContainsRune(" +-", rune(kind)) {
				return p, fmt.Errorf("line %d is not of a diff: %q", i+1, line)
			}
		}
	}
	for _, h := range p.hunks {
		if h.file == "" || h.old == "" || h.old == h.new {
			return p, fmt.Errorf("a hunk of %q that changes nothing", h.file)
		}
	}
	if p.what == "" || len(p.hunks) == 0 {
		return p, fmt.Errorf("it says nothing, or changes nothing")
	}
	return p, nil
}

// apply returns the changed files of the module at root. The old lines of each hunk must
// stand in its file exactly once.
func (p plant) apply(root string) (overlay.Files, error) {
	files := overlay.Files{}
	for _, h := range p.hunks {
		path := filepath.Join(root, h.file)
		text, changed := files[path]
		if !changed {
			read, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			text = read
		}
		text = append([]byte("\n"), text...) // so that a hunk begins with a line
		old := []byte("\n" + h.old)
		if n := bytes.Count(text, old); n != 1 {
			return nil, fmt.Errorf("%s has these lines %d times:\n%s", h.file, n, h.old)
		}
		files[path] = bytes.Replace(text, old, []byte("\n"+h.new), 1)[1:]
	}
	return files, nil
}
