// Command report runs the benchmarks of this module and writes what they say
// into RESULTS.md, and curves of it into plots/. It is what "make bench" calls.
//
//	go -C bench run ./report                # all; about an hour
//	go -C bench run ./report ./kv ./sync    # those packages; the rest of RESULTS.md stays
//	go -C bench run ./report -soak dir      # draws what "make soak SOAK_OUT=dir" left
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	samples := flag.String("soak", "", "only draw the samples in this folder")
	flag.Parse()
	var err error
	if *samples != "" {
		err = drawSoak(*samples)
	} else {
		err = run(flag.Args(), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(packages []string, out io.Writer) error {
	if len(packages) == 0 {
		list, err := command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}./{{slice .ImportPath (len .Module.Path) | printf \"%s\"}}{{end}}", "./...")
		if err != nil {
			return err
		}
		for _, p := range strings.Fields(list) {
			packages = append(packages, strings.Replace(p, ".//", "./", 1))
		}
	}
	old, err := os.ReadFile("RESULTS.md")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	all := read(string(old))
	var failed []error
	for _, p := range packages {
		section, err := measure(p, out)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p, err))
			continue
		}
		if len(section.results) > 0 {
			all[section.name] = section
		}
	}
	if err := os.WriteFile("RESULTS.md", []byte(write(all)), 0o644); err != nil {
		return err
	}
	return errors.Join(append(failed, draw(all))...)
}

// measure runs the benchmarks of one package.
func measure(folder string, out io.Writer) (section, error) {
	s := section{name: strings.TrimPrefix(folder, "./")}
	env, err := environment(folder)
	if err != nil {
		return s, err
	}
	s.environment = env
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchmem", "-timeout", "1h", folder)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := cmd.Start(); err != nil {
		return s, err
	}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		fmt.Fprintln(out, lines.Text())
		if r, ok := parse(lines.Text()); ok {
			s.results = append(s.results, r)
		}
	}
	return s, cmd.Wait()
}

func command(name string, args ...string) (string, error) {
	b, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(b)), err
}
