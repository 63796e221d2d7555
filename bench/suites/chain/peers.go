package chain

const (
	nameRqlite = "rqlite"
	nameComet  = "CometBFT"
)
