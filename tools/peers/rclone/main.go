// Command rclone is rclone (https://rclone.org) with the commands and back ends
// that bench needs and no others, so that it builds in minutes.
package main

import (
	_ "github.com/rclone/rclone/backend/crypt"
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/copyto"
	_ "github.com/rclone/rclone/cmd/obscure"
	_ "github.com/rclone/rclone/cmd/version"
)

func main() { cmd.Main() }
