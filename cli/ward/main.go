// Command ward is Ward's command line. See package cli.
package main

import (
	"os"

	"github.com/ward-health/ward/cli"
)

func main() { os.Exit(cli.Main()) }
