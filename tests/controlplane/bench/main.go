// Command bench asks a server for one URL again and again (load) or as thousands of HPAs would (hpas),
// or is the least that a server can be (static). It prints JSON and judges nothing.
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{"load": load, "hpas": hpas, "static": static}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench load|hpas|static [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
