"""TMDB movies: reading them, making them up, and making features of them."""

from featurestore.movies.features import AdvancedTMDBPreProcessor
from featurestore.movies.generator import generate_movies
from featurestore.movies.loaders import (
    LoadedMovies,
    MoviesFileError,
    load_movies,
    movies_from_csv,
    movies_from_jsonl,
)
from featurestore.movies.schema import FEATURE_GROUPS

__all__ = [
    "FEATURE_GROUPS",
    "AdvancedTMDBPreProcessor",
    "LoadedMovies",
    "MoviesFileError",
    "generate_movies",
    "load_movies",
    "movies_from_csv",
    "movies_from_jsonl",
]
