package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	marker = regexp.MustCompile(`^<!-- snippet: ([^#\s]+)(?:#(\S+))? -->$`)
	opened = regexp.MustCompile("^(```+)go\\b")
)

// render returns the document with every block of Go replaced by its source. The errors are about
// blocks that have none; they stay as they are.
func render(document string, source func(path, region string) (string, error)) (string, []error) {
	var out strings.Builder
	var errs []error
	lines := strings.SplitAfter(document, "\n")
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i])
		fence := strings.TrimSpace(lines[i])
		open := opened.FindStringSubmatch(fence)
		if open == nil {
			continue
		}
		end := i + 1
		for end < len(lines) && strings.TrimSpace(lines[end]) != open[1] {
			end++
		}
		body := strings.Join(lines[i+1:end], "")
		m := marker.FindStringSubmatch(strings.TrimSpace(before(lines, i)))
		if m == nil {
			errs = append(errs, fmt.Errorf("line %d: a block of Go has no <!-- snippet: path#region --> before it", i+1))
		} else if text, err := source(m[1], m[2]); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", i+1, err))
		} else {
			body = text
		}
		out.WriteString(body)
		i = end - 1 // the closing fence is next
	}
	return out.String(), errs
}

// before returns the last line before line i that is not empty.
func before(lines []string, i int) string {
	for i--; i >= 0; i-- {
		if strings.TrimSpace(lines[i]) != "" {
			return lines[i]
		}
	}
	return ""
}

// read returns a region of a file below root, or all of it.
func read(root, path, region string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return "", err
	}
	if region == "" {
		return string(b), nil
	}
	text, err := cut(string(b), region)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// cut returns the region of source called name, without its indentation and without the marks of
// regions inside it.
func cut(source, name string) (string, error) {
	var lines []string
	depth, found := 0, false
	for line := range strings.Lines(source) {
		mark := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(mark, "// snippet: "):
			if depth > 0 {
				depth++
			} else if strings.TrimPrefix(mark, "// snippet: ") == name {
				if found {
					return "", fmt.Errorf("there are two regions called %q", name)
				}
				depth, found = 1, true
			}
		case mark == "// end snippet":
			depth = max(depth-1, 0)
		case depth > 0:
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	switch {
	case !found:
		return "", fmt.Errorf("there is no region called %q", name)
	case depth > 0:
		return "", fmt.Errorf("region %q has no end", name)
	}
	return dedent(lines), nil
}

// dedent removes the tabs that all lines begin with, and empty lines around.
func dedent(lines []string) string {
	indent := -1
	for _, line := range lines {
		if tabs := len(line) - len(strings.TrimLeft(line, "\t")); line != "" && (indent < 0 || tabs < indent) {
			indent = tabs
		}
	}
	for i, line := range lines {
		lines[i] = line[min(max(indent, 0), len(line)):]
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
